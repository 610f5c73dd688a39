use datastore_core::goal::VolumeRequest;

use super::*;
use crate::event::Silent;
use crate::testing::Sandbox;

#[test]
fn an_operation_that_ends_while_another_run_looks_changes_the_mark_of_that_look() {
    Sandbox::run(|sandbox| {
        sandbox.file("etc/datastore.conf", "host = \"server1\"\n");
        sandbox.file("etc/datastore.d/www.conf", "[mapping.\"/srv/www\"]\ntarget = \"%{base}/www\"\n");
        sandbox.file("etc/fstab", "");
        let engine = Engine::open(sandbox.dir()).unwrap();
        // fstab was read before the other operation wrote its line, so this look is out of date when it ends.
        let (_, basis, ()) = engine
            .read(|_| {
                let request = VolumeRequest {
                    name: "data0".parse().unwrap(),
                    source: datastore_core::goal::VolumeSource::Here,
                    format: None,
                    force: false,
                    at: None,
                    options: None,
                    host: None,
                };
                let other = Engine::open(sandbox.dir())?;
                other.run(&Goal::VolumeAdd(request), &mut Silent)?;
                other.run(&Goal::Apply(Apps::default()), &mut Silent)?;
                Ok(())
            })
            .unwrap();
        let now = Engine::open(sandbox.dir()).unwrap();
        assert!(basis.fstab.entries().next().is_none() && observe::fstab(now.root()).unwrap().entries().count() == 1);
        assert_ne!(basis.journals.mark, journal_file::scan(now.root()).unwrap().mark);
    });
}

#[test]
fn between_two_calls_no_volume_is_busy() {
    Sandbox::run(|sandbox| {
        sandbox.file("etc/datastore.conf", "host = \"server1\"\n");
        sandbox.file("etc/datastore.d/www.conf", "[mapping.\"/srv/in/www\"]\ntarget = \"%{base}/www\"\n");
        sandbox.file("etc/fstab", "");
        sandbox.dirs(&["store/data0", "srv/in/www"]);
        let at = |path: &str| sandbox.dir().join(path);
        rustix::mount::mount("disk", at("store/data0"), "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        sandbox.dirs(&["store/data0/live/server1/www"]);
        let engine = Engine::open(sandbox.dir()).unwrap();
        assert_eq!(engine.status(&[]).unwrap().mappings.len(), 1);
        let _plan = engine.plan(&Goal::Apply(Apps::default())).unwrap();
        let _told = (engine.doctor(&[]), engine.guard(&"www".parse().unwrap()));
        rustix::mount::unmount(at("store/data0"), rustix::mount::UnmountFlags::empty()).unwrap();
    });
}
