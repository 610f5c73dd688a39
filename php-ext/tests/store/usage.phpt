--TEST--
What was measured last, also where nothing was, and devices that nobody uses
--EXTENSIONS--
datastore
--FILE--
<?php
require __DIR__ . "/../root.inc";

$root = root("usage");
$store = new Datastore\Store($root);
$usage = $store->usage();
var_dump($usage["measured"], $usage["complete"], $usage["parked"], count($usage["stores"]));
$row = $usage["stores"][0];
printf("%s %s %s\n", $row["app"], $row["volume"], $row["detail"]);
var_dump($row["bytes"]);
@mkdir("$root/run/datastore");
$row["bytes"] = 4096;
$row["measured"] = 1795459883;
$row["complete"] = true;
file_put_contents("$root/run/datastore/usage.json", json_encode(["stores" => [$row]] + $usage));
$kept = $store->usage("shop");
var_dump($kept["measured"], $kept["complete"], $kept["stores"][0]["bytes"]);
try {
    $store->usage("nobody");
} catch (Datastore\InvalidArgumentException $e) {
    echo $e->getReason(), "\n";
}
$found = $store->candidates();
var_dump(is_array($found["candidates"]), is_bool($found["complete"]));
?>
--EXPECT--
NULL
bool(false)
array(0) {
}
int(1)
shop data0 not measured yet
NULL
int(1795459883)
bool(true)
int(4096)
usage
bool(true)
bool(true)
