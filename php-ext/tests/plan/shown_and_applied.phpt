--TEST--
A plan is shown, applied once, and tells of its progress
--EXTENSIONS--
datastore
--FILE--
<?php
require __DIR__ . "/../root.inc";

$root = root("plan");
$store = new Datastore\Store($root);
$plan = $store->plan("apply", ["shop"]);
$shown = $plan->toArray();
printf("%s, %d steps, saved: %s\n", $shown["goal"], count($shown["steps"]), var_export($shown["saved"], true));
// What is null or false is left out.
$left = $store->plan("apply", ["shop"], ["to" => null, "undo" => false])->toArray();
var_dump($left["goal"] === $shown["goal"]);
$events = [];
$report = $store->apply($plan, function (array $event) use (&$events) {
    $events[$event["event"]] = ($events[$event["event"]] ?? 0) + 1;
});
printf("%s, %d of %d\n", $report["outcome"], $report["done"], $report["steps"]);
ksort($events);
echo implode(" ", array_keys($events)), "\n";
echo $store->status("shop")["mappings"][0]["state"], "\n";
try {
    $store->apply($plan);
} catch (Datastore\InvalidArgumentException $e) {
    echo $e->getMessage(), "\n";
}
$store->guard("shop");
echo $store->stop("shop")["outcome"], ", ", $store->status("shop")["mappings"][0]["state"], "\n";
$id = $store->save($store->plan("start", ["shop"]));
echo $store->apply($store->load($id))["outcome"], ", ", $store->operation($report["operation"])["state"], "\n";
var_dump($store->start("shop")["outcome"], count($store->log("shop")["operations"]));
?>
--EXPECT--
apply shop, 8 steps, saved: false
bool(true)
done, 8 of 8
begin done end
active
this plan has been applied; make a new one
done, inactive
done, done
NULL
int(3)
