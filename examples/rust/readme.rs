use datastore_core::value::AppName;
use datastore_exec::Engine;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::open("/".as_ref())?;
    for row in engine.status(&[])?.mappings {
        println!("{} {} {}", row.state, row.mount_point, row.detail);
    }
    engine.guard(&AppName::parse("mysqld")?)?; // an error says why it must not start
    Ok(())
}
