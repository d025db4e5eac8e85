//! The JSON Schema that is checked in is the one that the program writes by.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[test]
fn the_schema_is_up_to_date() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/schema/report.schema.json"
    );
    let schema = clawfleet::report::schema().unwrap();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        checked_in, schema,
        "run `UPDATE_SCHEMA=1 cargo test --test schema` and read the difference"
    );
}
