//! What tests bring in.

/// An export of a chat between two, in the layout of Android.
pub const CHAT: &str = "\
31/01/2024, 10:20 - Messages and calls are end-to-end encrypted. No one outside of this chat, not even WhatsApp, can read \
or listen to them. Tap to learn more.
31/01/2024, 10:21 - Anna Berg: Good morning, is the quokka invoice paid?
31/01/2024, 10:22 - Tom: It is, since Monday
31/01/2024, 10:25 - Anna Berg: Thank you
";

/// The same chat a message later, with one text changed.
pub const LONGER: &str = "\
31/01/2024, 10:20 - Messages and calls are end-to-end encrypted. No one outside of this chat, not even WhatsApp, can read \
or listen to them. Tap to learn more.
31/01/2024, 10:21 - Anna Berg: Good morning, is the quokka invoice paid?
31/01/2024, 10:22 - Tom: It is, since Tuesday
31/01/2024, 10:25 - Anna Berg: Thank you
01/02/2024, 09:00 - Tom: You are welcome
";

/// Its name, which says whose chat it is.
pub const CHAT_NAME: &str = "WhatsApp Chat with Anna Berg.txt";

/// A webhook body with one message.
pub const WEBHOOK: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"42","changes":[{"field":"messages","value":
{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550100001","phone_number_id":"17"},
"contacts":[{"profile":{"name":"Ada Example"},"wa_id":"447700900123"}],
"messages":[{"from":"447700900123","id":"wamid.TEST0001","timestamp":"1767225600","type":"text",
"text":{"body":"Does it come in blue?"}}]}}]}]}"#;
