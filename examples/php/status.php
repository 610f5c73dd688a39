<?php
// What is bound where, and why not.

try {
    $store = new Datastore\Store();
    foreach ($store->status()["mappings"] as $row) {
        if ($row["state"] == "disabled") {
            continue;
        }
        printf("%-9s %-12s %s\n", $row["state"], $row["app"], $row["mount_point"]);
        if ($row["hint"] != "") {
            printf("          to mend it: %s\n", $row["hint"]);
        }
    }
} catch (Datastore\Exception $e) {
    fprintf(STDERR, "%s\nto mend it: %s\n", $e->getMessage(), $e->getHint());
    exit(1);
}
