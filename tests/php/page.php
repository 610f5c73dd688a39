<?php

/** What the suite `php_servers` asks of a web server, by the query: the root, what to do, and of which app. */

$root = $_GET["root"];
$app = $_GET["app"] ?? "";
$worker = function (): array {
    preg_match('/VmRSS:\s+(\d+)/', file_get_contents("/proc/self/status"), $found);
    return ["pid" => getmypid(), "user" => fileowner("/proc/self"), "rss" => (int)$found[1], "sapi" => PHP_SAPI];
};
header("Content-Type: text/plain");
switch ($_GET["ask"]) {
    case "status":
        $told = (new Datastore\Store($root))->status();
        echo json_encode(["told" => $told] + $worker(), JSON_UNESCAPED_SLASHES);
        break;
    // What a page does that many ask for: all is freed afterwards, also what was thrown.
    case "work":
        $store = new Datastore\Store($root);
        $store->status();
        $store->plan("stop", ["web"])->toArray();
        try {
            $store->guard("nobody");
        } catch (Datastore\Exception $e) {
            $e->getHint();
        }
        echo json_encode($worker());
        break;
    case "stop":
        try {
            (new Datastore\Store($root))->stop($app);
        } catch (Datastore\Exception $e) {
            printf("%s: %s\nhint: %s\n", get_class($e), $e->getMessage(), $e->getHint());
        }
        break;
    // Nobody catches this one.
    case "guard":
        (new Datastore\Store($root))->guard($app);
        echo "ready\n";
        break;
    // The request ends while a store and a plan are there.
    case "exit":
        $store = new Datastore\Store($root);
        $plan = $store->plan();
        exit("in the middle\n");
}
