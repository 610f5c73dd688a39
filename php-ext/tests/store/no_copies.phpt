--TEST--
Stores and plans are neither cloned nor serialized, and have no other properties
--EXTENSIONS--
datastore
--FILE--
<?php
require __DIR__ . "/../root.inc";

$store = new Datastore\Store(root("copies"));
foreach ([$store, $store->plan()] as $object) {
    foreach (["clone", "serialize", "property"] as $what) {
        try {
            match ($what) {
                "clone" => clone $object,
                "serialize" => serialize($object),
                "property" => $object->more = 1,
            };
            echo "it can be done: $what\n";
        } catch (Throwable $e) {
            echo $e->getMessage(), "\n";
        }
    }
}
try {
    new Datastore\Plan();
} catch (Error $e) {
    echo $e->getMessage(), "\n";
}
?>
--EXPECT--
Trying to clone an uncloneable object of class Datastore\Store
Serialization of 'Datastore\Store' is not allowed
Cannot create dynamic property Datastore\Store::$more
Trying to clone an uncloneable object of class Datastore\Plan
Serialization of 'Datastore\Plan' is not allowed
Cannot create dynamic property Datastore\Plan::$more
Call to private Datastore\Plan::__construct() from global scope
