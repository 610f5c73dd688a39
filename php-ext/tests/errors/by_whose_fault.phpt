--TEST--
Exceptions say by whose fault, and nothing that a user can cause is an Error
--EXTENSIONS--
datastore
--FILE--
<?php
require __DIR__ . "/../root.inc";

$root = root("errors");
$store = new Datastore\Store($root);
$nonsense = [
    fn() => $store->status("nobody"),
    fn() => $store->guard("no/name"),
    fn() => $store->guard("sh\0op"),
    fn() => $store->guard("\xff\xfe"),
    fn() => $store->guard(str_repeat("x", 1 << 20)),
    fn() => $store->guard(""),
    fn() => $store->status(5.5),
    fn() => $store->operation("yesterday"),
    fn() => $store->load("x"),
    fn() => $store->plan("sleep", ["shop"]),
    fn() => $store->plan("stop"),
    fn() => $store->plan("stop", [["shop"]]),
    fn() => $store->plan("stop", ["shop"], ["to" => "data1"]),
    fn() => $store->plan("move", ["shop"], ["to" => []]),
    fn() => $store->plan("move", ["shop"], ["data1"]),
    fn() => $store->plan("move", ["shop"], ["max-downtime" => "soon"]),
    fn() => $store->move("shop", "", []),
];
foreach ($nonsense as $number => $call) {
    try {
        $call();
        echo "$number: nothing happened\n";
    } catch (Exception $e) {
        if (!$e instanceof Datastore\InvalidArgumentException || $e->getReason() != "usage") {
            printf("%d: %s, %s: %s\n", $number, get_class($e), $e->getReason(), $e->getMessage());
        }
    }
}
unlink("$root/etc/datastore.conf");
try {
    $store->status();
} catch (Datastore\RefusedException $e) {
    printf("%s: %s\nhint: %s\n", $e->getReason(), $e->getMessage(), $e->getHint());
}
?>
--EXPECT--
invalid: there is no /etc/datastore.conf, so this machine has no data store yet
hint: datastore init
