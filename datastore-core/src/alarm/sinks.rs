//! Where alarms go: `[alarm]` in `/etc/datastore.conf`.

use crate::diag::{Code, Diagnostic, Located, Sources};
use crate::path::AbsPath;
use crate::raw::{RawAlarm, RawText};

/// Where alarms go (`[alarm]` in `/etc/datastore.conf`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sinks {
    /// To syslog(3), which is journald's too; `None` means: where this root is the machine itself.
    pub syslog: Option<bool>,
    /// A program and its arguments; empty for none.
    pub command: Vec<String>,
    /// Addresses for a mail; empty for none.
    pub mail: Vec<String>,
    /// The program that takes mails, as sendmail(8) does.
    pub sendmail: AbsPath,
    /// To ClearOS's events; `None` means: on the machine itself, where their program is there.
    pub events: Option<bool>,
}

impl Default for Sinks {
    fn default() -> Self {
        let sendmail = AbsPath::literal("/usr/sbin/sendmail");
        Self { syslog: None, command: Vec::new(), mail: Vec::new(), sendmail, events: None }
    }
}

impl Sinks {
    /// What the table says.
    pub(crate) fn read(raw: &RawAlarm, sources: &Sources, found: &mut Vec<Diagnostic>) -> Self {
        let said = |flag: &Option<Located<bool>>| flag.as_ref().map(|flag| flag.value);
        let mut sinks = Self { syslog: said(&raw.syslog), events: said(&raw.events), ..Self::default() };
        let path = |text: &RawText| {
            AbsPath::parse(&text.value).map_err(|why| sources.diagnose(text.span, Code::ForbiddenPath, why.to_string()))
        };
        match raw.sendmail.as_ref().map(path) {
            Some(Ok(path)) => sinks.sendmail = path,
            Some(Err(why)) => found.push(why),
            None => {}
        }
        if let Some(command) = &raw.command {
            match command.value.first().map(path) {
                Some(Ok(_)) => {
                    for word in &command.value {
                        if word.value.chars().any(char::is_control) {
                            let message = "an argument holds a control character";
                            found.push(sources.diagnose(word.span, Code::BadValue, message));
                        }
                        sinks.command.push(word.value.clone());
                    }
                }
                Some(Err(why)) => found.push(why),
                None => {
                    let none = sources.diagnose(command.span, Code::BadValue, "`command` names no program");
                    found.push(none.hint("leave it out, or name one: command = [\"/usr/local/sbin/page-me\"]"));
                }
            }
        }
        for address in raw.mail.iter().flat_map(|list| &list.value) {
            let odd = |c: char| c.is_whitespace() || c.is_control() || ",;<>()\"\\".contains(c);
            if address.value.is_empty() || address.value.starts_with('-') || address.value.contains(odd) {
                let message = format!("`{}` is no address of a mail", address.value.escape_debug());
                found.push(sources.diagnose(address.span, Code::BadValue, message));
            } else {
                sinks.mail.push(address.value.clone());
            }
        }
        sinks
    }
}
