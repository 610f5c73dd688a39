<?php

/** Asks the extension what a case of the suite `parity` asks: as tests/c/parity.c does, which says how. With `methods` instead of words it
 * tells which public methods there are. */

final class Asked
{
    private Datastore\Store $store;
    private array $events = [];
    public array $calls = ["__construct"];

    public function __construct(string $root)
    {
        $this->store = new Datastore\Store($root);
    }

    private function call(string $method, ...$arguments)
    {
        $this->calls[] = $method;
        return $this->store->$method(...$arguments);
    }

    /** Words with a sign are options. */
    private static function goal(array $words): array
    {
        $apps = $options = [];
        foreach ($words as $word) {
            if (str_contains($word, "=")) {
                [$option, $value] = explode("=", $word, 2);
                $options[$option] = $value === "" ? true : $value;
            } else {
                $apps[] = $word;
            }
        }
        return [$apps, $options];
    }

    private function listener(): callable
    {
        return function (array $event): void {
            if (!in_array($event["event"], $this->events, true)) {
                $this->events[] = $event["event"];
            }
        };
    }

    /** By the method that has the verb's name, where there is one for what is asked. */
    private function run(string $verb, array $apps, array $options)
    {
        $heard = $this->listener();
        if ($verb === "move" && count($apps) === 1 && isset($options["to"]) && $options["to"] !== true) {
            return $this->call("move", $apps[0], $options["to"], array_diff_key($options, ["to" => 0]), $heard);
        }
        if ($verb === "import" && count($apps) === 1) {
            return $this->call("import", $apps[0], $options, $heard);
        }
        return $this->call("run", $verb, $apps, $options, $heard);
    }

    public function answer(array $words)
    {
        $what = array_shift($words);
        if (in_array($what, ["plan", "keep", "apply", "run"], true)) {
            $verb = array_shift($words);
            [$apps, $options] = self::goal($words);
            if ($what === "run" && in_array($verb, ["start", "stop", "remap"], true) && !$options) {
                // These three have nobody to tell.
                $this->events = ["untold"];
                return $this->call($verb, ...$apps);
            }
            if ($what === "run") {
                return $this->run($verb, $apps, $options);
            }
            $plan = $this->call("plan", $verb, $apps, $options);
            if ($what === "apply") {
                return $this->call("apply", $plan, $this->listener());
            }
            if ($what === "keep" && $this->call("save", $plan) !== $plan->toArray()["id"]) {
                throw new Error("the id of a plan that was kept is another one");
            }
            return $plan->toArray();
        }
        return $what === "load"
            ? $this->call("apply", $this->call("load", ...$words), $this->listener())
            : $this->call($what, ...$words);
    }

    public function events(): array
    {
        return $this->events;
    }
}

$words = array_map(fn(string $line) => substr($line, 0, -1), file("php://stdin"));
if ($words === ["methods"]) {
    $methods = (new ReflectionClass(Datastore\Store::class))->getMethods(ReflectionMethod::IS_PUBLIC);
    $answer = ["told" => array_column($methods, "name")];
} else {
    try {
        $asked = new Asked($argv[1]);
        $answer = ["told" => $asked->answer($words), "events" => $asked->events()];
    } catch (Datastore\Exception $e) {
        $answer = ["error" => [
            "class" => get_class($e),
            "kind" => $e->getReason(),
            "errno" => $e->getCode(),
            "message" => $e->getMessage(),
            "hint" => $e->getHint(),
        ]];
    }
    $answer["calls"] = isset($asked) ? $asked->calls : ["__construct"];
}
echo json_encode($answer, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
