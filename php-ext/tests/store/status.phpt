--TEST--
Status, check, doctor and the guard, of a machine on which nothing is bound
--EXTENSIONS--
datastore
--FILE--
<?php
require __DIR__ . "/../root.inc";

$store = new Datastore\Store(root("status"));
$status = $store->status();
var_dump($status["host"], count($status["mappings"]), $status["operations"]);
$row = $store->status("shop")["mappings"][0];
printf("%s %s %s %s\n", $row["app"], $row["mount_point"], $row["state"], $row["hint"]);
var_dump($store->check(), $store->check("shop")["errors"]);
var_dump(is_bool($store->doctor()["complete"]), count($store->doctor("shop")["findings"]) > 0);
try {
    $store->guard("shop");
} catch (Datastore\RefusedException $e) {
    printf("%s | %s | %s\n", $e->getReason(), $e->getMessage(), $e->getHint());
}
?>
--EXPECT--
string(7) "server1"
int(1)
array(0) {
}
shop /var/shop pending datastore apply shop
array(2) {
  ["diagnostics"]=>
  array(0) {
  }
  ["errors"]=>
  int(0)
}
int(0)
bool(true)
bool(true)
refused | `shop` must not start: /var/shop: it is pending: not bound | datastore apply shop
