--TEST--
An operation is finished although its listener throws, and the exception arrives
--EXTENSIONS--
datastore
--FILE--
<?php
require __DIR__ . "/../root.inc";

$store = new Datastore\Store(root("listener"));
$calls = 0;
try {
    $store->run("apply", [], [], function () use (&$calls) {
        $calls++;
        throw new LogicException("I do not want to know");
    });
} catch (LogicException $e) {
    echo $e->getMessage(), ", after $calls call\n";
}
echo $store->status("shop")["mappings"][0]["state"], "\n";
$store->run("stop", ["shop"], [], function () {
    exit("the program ends in the middle\n");
});
echo "never\n";
?>
--EXPECT--
I do not want to know, after 1 call
active
the program ends in the middle
