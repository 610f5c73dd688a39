//! Somebody who reads the pages without a script.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::Web;

/// What is begun ends sooner, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser without scripts: curl(1) with a jar for its cookies.
#[derive(Debug)]
pub struct Visitor<'w> {
    web: &'w Web,
    jar: PathBuf,
    /// What it reads.
    pub language: &'static str,
}

/// What the server said.
#[derive(Debug)]
pub struct Answer {
    /// The code.
    pub status: u16,
    /// The lines of its head.
    pub head: String,
    /// The page.
    pub body: String,
}

impl Answer {
    /// Where it sends the browser.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.header("Location")
    }

    /// What a line of its head says.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let of_it = |line: &'_ str| line.split_once(": ").is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| of_it(line)).and_then(|line| line.split_once(": ")).map(|(_, value)| value.trim())
    }
}

impl<'w> Visitor<'w> {
    pub(super) fn new(web: &'w Web) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { web, jar: web.sandbox().path(format!("/tmp/cookies-{number}")), language: "en" }
    }

    /// Asks for a page.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.curl(path, &[])
    }

    /// Sends a form, with the token that forms have.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get("/app/datastore/mapping/add").body;
        let token = page.split("name='ci_csrf_token' value='").nth(1).and_then(|rest| rest.split('\'').next());
        let token = token.unwrap_or_else(|| panic!("a form has no token: {page}"));
        let mut fields = fields.to_vec();
        fields.push(("ci_csrf_token", token));
        self.send(path, &fields)
    }

    /// Sends a form with nothing but this.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let words: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut args = vec!["--request", "POST"];
        for word in &words {
            args.extend(["--data-urlencode", word]);
        }
        self.curl(path, &args)
    }

    /// Has a plan made and begun by the page; where it can be followed.
    ///
    /// # Panics
    /// If there is no plan, or it is not begun.
    #[track_caller]
    pub fn begin(&self, fields: &[(&str, &str)]) -> String {
        self.apply(&self.plan(fields))
    }

    /// Has a plan made by the page; what it is known by.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn plan(&self, fields: &[(&str, &str)]) -> String {
        let page = self.post("/app/datastore/plan/make", fields).body;
        let plan = page.split("name='plan' value='").nth(1).and_then(|rest| rest.split('\'').next());
        plan.unwrap_or_else(|| panic!("no plan: {page}")).to_owned()
    }

    /// Has it begun; where it can be followed.
    ///
    /// # Panics
    /// If it is not begun.
    #[track_caller]
    pub fn apply(&self, plan: &str) -> String {
        let begun = self.post("/app/datastore/plan/apply", &[("plan", plan)]);
        begun.location().unwrap_or_else(|| panic!("no page that follows it: {}", begun.body)).to_owned()
    }

    /// Waits for the page that says what came of what was begun.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn outcome(&self, location: &str) -> String {
        let begun = Instant::now();
        loop {
            let page = self.get(location).body;
            if !page.contains("id='ds-follow'") {
                return page;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {page}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn curl(&self, path: &str, args: &[&str]) -> Answer {
        let mut command = self.web.sandbox().command("curl");
        command
            .args(["--silent", "--show-error", "--include", "--globoff", "--cookie"])
            .arg(&self.jar)
            .arg("--cookie-jar")
            .arg(&self.jar);
        command.args(["--header", &format!("Accept-Language: {}", self.language)]).args(args);
        let run = self.web.sandbox().run(command.arg(format!("{}{path}", self.web.address()))).ok();
        let (head, body) = run.stdout.split_once("\r\n\r\n").unwrap_or((&run.stdout, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Answer { status: status.unwrap_or_else(|| panic!("no answer: {head}")), head: head.into(), body: body.into() }
    }
}
