<?php

/** @generate-class-entries */

namespace Datastore;

/** What went wrong in datastore, by whose fault. */
class Exception extends \RuntimeException
{
    protected string $hint = "";
    protected string $reason = "";

    /** The command or the edit that mends it; empty where there is none. */
    public function getHint(): string {}

    /** Why, as one word: usage, invalid, refused, system, privilege, locked, interrupted. */
    public function getReason(): string {}
}

/** What was asked for does not exist or makes no sense. */
final class InvalidArgumentException extends Exception
{
}

/** It could be done, and must not be; or it cannot be done now. */
final class RefusedException extends Exception
{
}

/** A system call or a program failed. The code is the number of the system's error, or 0. */
final class SystemException extends Exception
{
}

/** The caller may not. */
final class PrivilegeException extends Exception
{
}

/**
 * What would be done, step by step. It can be applied once.
 *
 * @strict-properties
 * @not-serializable
 */
final class Plan
{
    private function __construct() {}

    /** What the plan says: id, goal, steps, notes, remarks, loads. */
    public function toArray(): array {}
}

/**
 * The data store of a machine. Arrays have the fields of the command's JSON output.
 *
 * @strict-properties
 * @not-serializable
 */
final class Store
{
    public function __construct(string $root = "/") {}

    /** What is bound where, from the kernel. No app means all. */
    public function status(string ...$apps): array {}

    /** Everything held against everything. */
    public function doctor(string ...$apps): array {}

    /** What is wrong in the configuration, or in that of one app. */
    public function check(?string $app = null): array {}

    /** Lets an app start, or throws. */
    public function guard(string $app): void {}

    /** How far an operation is, or was when it ended. */
    public function operation(string $id): array {}

    /** Which operations have run. */
    public function log(string ...$apps): array {}

    /** How much the data of apps and what was put aside takes, as `datastore usage` measured it last. */
    public function usage(string ...$apps): array {}

    /** Which block devices could become a volume. */
    public function candidates(): array {}

    /** Plans; changes nothing. Options are those of the command, such as ["to" => "data1", "max-downtime" => 5]. */
    public function plan(string $verb = "apply", array $apps = [], array $options = []): Plan {}

    /** Keeps a plan, to be applied later by its id; returns the id. */
    public function save(Plan $plan): string {}

    /** Makes a plan again that was kept. */
    public function load(string $id): Plan {}

    /** Applies exactly this plan, or nothing. $progress gets an array for each event. */
    public function apply(Plan $plan, ?callable $progress = null): array {}

    /** Plans and applies at once. */
    public function run(string $verb, array $apps = [], array $options = [], ?callable $progress = null): array {}

    public function start(string ...$apps): array {}

    public function stop(string ...$apps): array {}

    public function remap(string ...$apps): array {}

    public function import(string $app, array $options = [], ?callable $progress = null): array {}

    public function move(string $app, string $to, array $options = [], ?callable $progress = null): array {}
}
