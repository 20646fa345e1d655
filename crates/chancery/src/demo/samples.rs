//! Sample traffic of a fictional clinic, in the platforms' own forms. Names and numbers are invented.

/// Bodies of WhatsApp Cloud API webhooks.
pub const WEBHOOKS: &[&[u8]] = &[
    include_bytes!("../../samples/webhook-01.json"),
    include_bytes!("../../samples/webhook-02.json"),
    include_bytes!("../../samples/webhook-03.json"),
    include_bytes!("../../samples/webhook-04.json"),
    include_bytes!("../../samples/webhook-05.json"),
    include_bytes!("../../samples/webhook-06.json"),
    include_bytes!("../../samples/webhook-07.json"),
    include_bytes!("../../samples/webhook-08.json"),
    include_bytes!("../../samples/webhook-09.json"),
    include_bytes!("../../samples/webhook-10.json"),
    include_bytes!("../../samples/webhook-11.json"),
    include_bytes!("../../samples/webhook-12.json"),
    include_bytes!("../../samples/webhook-13.json"),
];

/// A body that nobody signed.
pub const FORGED: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;

/// Chat exports, with their file names.
pub const EXPORTS: &[(&str, &[u8])] = &[
    (
        "WhatsApp Chat with Project Cedar.txt",
        include_bytes!("../../samples/WhatsApp Chat with Project Cedar.txt"),
    ),
    (
        "WhatsApp Chat - Jonas Brandt.zip",
        include_bytes!("../../samples/WhatsApp Chat - Jonas Brandt.zip"),
    ),
    (
        "与李伟的 WhatsApp 聊天.txt",
        include_bytes!("../../samples/与李伟的 WhatsApp 聊天.txt"),
    ),
];
