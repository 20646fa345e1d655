//! Events: what people and the platform do besides writing.

use std::borrow::Cow;
use std::io;

use model::Content;
use model::record::{Event, EventKind};

use super::messages::{self, HEAD, Head};
use super::people;
use super::service;
use crate::Span;
use crate::pass::Pass;
use crate::tree::{self, Fields, Shown};

/// Fields that open something for a while. They stay in the capture and are not shown.
const CREDENTIALS: &[&str] = &[
    "SuiteTicket",
    "ComponentVerifyTicket",
    "AuthCode",
    "AuthorizationCode",
    "PreAuthCode",
    "WelcomeCode",
    "Token",
];

/// Fields that say what sort of event it is.
const NAMES: &[&str] = &["Event", "InfoType", "ChangeType", "TimeStamp"];

/// An event of which nothing is known yet.
pub(super) fn bare<'a>(event: EventKind) -> Event<'a> {
    Event {
        event,
        platform_id: None,
        target: None,
        conversation: None,
        actor: None,
        occurred_at: None,
        state: None,
        text: None,
        attachments: Vec::new(),
        details: None,
    }
}

/// Reads one event of `MsgType` event, or of an `InfoType`.
pub(super) fn event(pass: &mut Pass<'_>, span: Span, fields: &Fields) -> io::Result<()> {
    let Head {
        sender,
        conversation,
        at,
        mut details,
        ..
    } = messages::head(pass, span, fields)?;
    let name = tree::first(fields, &["Event", "InfoType"]).unwrap_or_default();
    if name.is_empty() {
        pass.problem(span, "missing-type", "an event does not say of what type it is")?;
    }
    details.text("type", Some(name.clone()));
    details.text("change_type", tree::word(fields, "ChangeType"));
    details.rest("fields", fields, &[HEAD, NAMES, CREDENTIALS].concat());
    let mut event = Event {
        conversation,
        actor: sender,
        occurred_at: at,
        state: Some(name.clone()).filter(|name| !name.is_empty()),
        ..bare(EventKind::Other)
    };
    if !meaning(&name.to_ascii_lowercase(), fields, &mut event, &mut details) && !name.is_empty() {
        pass.problem(span, "unknown-event", "an event is of a type not known here")?;
    }
    event.details = details.finish();
    pass.event(span, event)?;
    // The bell of 微信客服: there is something to ask for.
    match tree::word(fields, "OpenKfId") {
        Some(account) if name.eq_ignore_ascii_case("kf_msg_or_event") => {
            let token = tree::word(fields, "Token");
            pass.fetch(&service::announced(&account, token.as_deref(), None))
        }
        _ => Ok(()),
    }
}

/// Events whose names say all that is to be said: menus, places, tasks, tickets.
const PLAIN: &[&str] = &[
    "scan",
    "location",
    "click",
    "view",
    "view_miniprogram",
    "scancode_push",
    "scancode_waitmsg",
    "pic_sysphoto",
    "pic_photo_or_album",
    "pic_weixin",
    "location_select",
    "media_id",
    "article_id",
    "enter_agent",
    "batch_job_result",
    "open_approval_change",
    "sys_approval_change",
    "taskcard_click",
    "template_card_event",
    "template_card_menu_event",
    "share_agent_change",
    "share_chain_change",
    "msgaudit_notify",
    "conversation_new_message",
    "kf_msg_or_event",
    "kf_create_session",
    "kf_close_session",
    "kf_switch_session",
    "user_enter_tempsession",
    "wxa_media_check",
    "change_external_tag",
    "close_inactive_agent",
    "reopen_inactive_agent",
    "living_status_change",
    "suite_ticket",
    "component_verify_ticket",
];

/// Events about the company's side: who may act for it, its directory and its accounts.
const ACCOUNT: &[&str] = &[
    "create_auth",
    "change_auth",
    "cancel_auth",
    "reset_permanent_code",
    "authorized",
    "unauthorized",
    "updateauthorized",
    "change_contact",
    "kf_account_auth_change",
    "qualification_verify_success",
    "qualification_verify_fail",
    "naming_verify_success",
    "naming_verify_fail",
    "annual_renew",
    "verify_expired",
    "change_app_admin",
    "corp_arch_auth",
    "approve_special_auth",
    "cancel_special_auth",
    "unlicensed_notify",
];

/// What an event of this name, in lower case, means. False when it is not known here.
fn meaning<'a>(name: &str, fields: &'a Fields, event: &mut Event<'a>, details: &mut Shown) -> bool {
    match name {
        // To follow an account is to agree to what it sends.
        "subscribe" | "unsubscribe" => event.event = EventKind::Consent,
        // What a person takes back, or lets be deleted, under their rights.
        "user_authorization_revoke" | "user_authorization_cancellation" | "user_info_modified" => {
            event.event = EventKind::Consent;
        }
        "subscribe_msg_popup_event" | "subscribe_msg_change_event" => event.event = EventKind::Consent,
        "templatesendjobfinish" | "masssendjobfinish" | "subscribe_msg_sent_event" => delivery(fields, event),
        "change_contact" => directory(fields, event, details),
        "change_external_contact" => outsider(fields, event),
        "change_external_chat" => room(fields, event),
        "wx_verify_dispatch" | "wx_verify_pay_succ" | "wx_verify_refill" => event.event = EventKind::Account,
        _ if ACCOUNT.contains(&name) => event.event = EventKind::Account,
        _ => return PLAIN.contains(&name),
    }
    true
}

/// What became of a message that the account sent.
fn delivery<'a>(fields: &'a Fields, event: &mut Event<'a>) {
    event.event = EventKind::Status;
    event.target = tree::first(fields, &["MsgID", "MsgId"]).map(Content::new);
    let word = tree::first(fields, &["Status"]).unwrap_or_default();
    let state = match word.to_ascii_lowercase().as_str() {
        "success" => "delivered",
        "send success" | "sendsuccess" => "sent",
        "" => return,
        _ => "failed",
    };
    event.state = Some(Cow::Borrowed(state));
}

/// The company's directory: a member whose id changes is somebody known by two ids.
fn directory<'a>(fields: &'a Fields, event: &mut Event<'a>, details: &mut Shown) {
    event.event = EventKind::Account;
    event.state = tree::word(fields, "ChangeType").or(event.state.take());
    let (old, new) = (tree::word(fields, "UserID"), tree::word(fields, "NewUserID"));
    if let (Some(old), Some(new)) = (old, new) {
        event.event = EventKind::IdentityChange;
        event.actor = Some(people::person("userid", old));
        details.value("new_ids", serde_json::json!([{"kind": "userid", "value": new}]));
    }
}

/// A customer of one of the company's people.
fn outsider<'a>(fields: &'a Fields, event: &mut Event<'a>) {
    event.state = tree::word(fields, "ChangeType").or(event.state.take());
    event.actor = tree::word(fields, "ExternalUserID").map(|id| people::person("external_userid", id));
    // The customer agreed that what is said with this member is archived.
    if event.state.as_deref() == Some("msg_audit_approved") {
        event.event = EventKind::Consent;
        event.state = Some(Cow::Borrowed("agree"));
    }
}

/// A group with customers.
fn room<'a>(fields: &'a Fields, event: &mut Event<'a>) {
    event.conversation = tree::word(fields, "ChatId").map(people::group);
    let change = tree::word(fields, "ChangeType");
    let detail = tree::word(fields, "UpdateDetail");
    event.event = match detail.as_deref() {
        Some("add_member") => EventKind::Join,
        Some("del_member") => EventKind::Leave,
        Some("change_name") => EventKind::Rename,
        _ => EventKind::Other,
    };
    event.state = detail.or(change).or(event.state.take());
}
