<?php

/** What the series `php` measures, told as JSON: calls.php pairs|status|memory ROOT COMMAND TIMES. Times are in seconds. */

[, $what, $root, $datastore, $times] = $argv;
$store = new Datastore\Store($root);

$seconds = function (callable $call) use (&$told): float {
    $begun = hrtime(true);
    $told = $call();
    return (hrtime(true) - $begun) / 1e9;
};
$rss = function (): int {
    preg_match('/VmRSS:\s+(\d+)/', file_get_contents("/proc/self/status"), $found);
    return (int)$found[1];
};
$library = fn() => $store->status();
$line = escapeshellarg($datastore) . " --root " . escapeshellarg($root) . " status --json";
$command = fn() => json_decode(shell_exec($line), true);

switch ($what) {
    // In turn, so that both see the same noise.
    case "pairs":
        $ours = $theirs = [];
        for ($i = 0; $i < $times; $i++) {
            $ours[] = $seconds($library);
            $here = $told["mappings"];
            $theirs[] = $seconds($command);
            if ($here !== $told["mappings"]) {
                exit("the command tells something else\n");
            }
        }
        echo json_encode(["ours" => $ours, "theirs" => $theirs, "rows" => count($here)]);
        break;
    case "status":
        $ours = [];
        for ($i = 0; $i < $times; $i++) {
            $ours[] = $seconds($library);
        }
        echo json_encode(["ours" => $ours, "rows" => count($told["mappings"])]);
        break;
    case "memory":
        $early = null;
        for ($i = 1; $i <= $times; $i++) {
            $store->status();
            // What is thrown is freed, too.
            if ($i % 10 === 0) {
                try {
                    $store->guard("nobody");
                } catch (Datastore\Exception $e) {
                    $e->getHint();
                }
            }
            if ($i === 1000) {
                $early = $rss();
            }
        }
        echo json_encode(["early" => $early ?? $rss(), "late" => $rss()]);
        break;
}
