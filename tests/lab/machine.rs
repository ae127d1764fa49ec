//! A script run in an emulated machine (`assets/lab-machine`), and what each of its steps said.

use std::collections::BTreeMap;
use std::process::Command;

/// What every script begins with. Each step is told as `== NAME`, what was said, and `ended N`.
const PRELUDE: &str = r#"
step() { local name=$1; shift; echo "== $name"; "$@"; echo "ended $?"; }
until_so() {
    local end=$((SECONDS + 90))
    until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || { echo "never: $*"; return 1; }; sleep 0.2; done
}
guest() { VIRT_NET_GUEST_TIMEOUT=10 bash /mnt/lab __guest "$@"; }
"#;

/// What each step said, and its exit status.
pub(crate) struct Steps(BTreeMap<String, (String, i32)>);

impl Steps {
    /// Boots a machine, runs the script in it, and reads what it said.
    pub(crate) fn of(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script");
        std::fs::write(&path, format!("{PRELUDE}{script}")).unwrap();
        let run = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/lab-machine"))
            .arg(&path)
            .arg(env!("CARGO_BIN_EXE_virt-net"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{}\n{text}\n{}", run.status, String::from_utf8_lossy(&run.stderr));
        let steps = text.split("== ").skip(1).map(|step| {
            let (name, said) = step.split_once('\n').expect("a name");
            let (said, status) = said.rsplit_once("ended ").unwrap_or_else(|| panic!("no end: {step}"));
            let status = status.split_whitespace().next().and_then(|status| status.parse().ok());
            (name.to_owned(), (said.to_owned(), status.expect("a status")))
        });
        Self(steps.collect())
    }

    fn get(&self, name: &str) -> &(String, i32) {
        self.0.get(name).unwrap_or_else(|| panic!("{name} is not there: {:?}", self.0.keys()))
    }

    /// The step ended with this status, and said all of these words.
    #[track_caller]
    pub(crate) fn ended(&self, name: &str, status: i32, says: &[&str]) {
        let (said, ended) = self.get(name);
        assert_eq!(*ended, status, "{name}\n{said}");
        for words in says {
            assert!(said.contains(words), "{name}: {words:?} is not in\n{said}");
        }
    }

    /// What the step said.
    #[track_caller]
    pub(crate) fn said(&self, name: &str) -> &str {
        &self.get(name).0
    }

    /// The step said exactly this.
    #[track_caller]
    pub(crate) fn says(&self, name: &str, wanted: &str) {
        assert_eq!(self.get(name).0, wanted, "{name}");
    }
}
