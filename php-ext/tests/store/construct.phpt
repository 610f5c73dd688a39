--TEST--
A store is opened once, and one that was not opened does no harm
--EXTENSIONS--
datastore
--FILE--
<?php
use Datastore\Store;

try {
    new Store("/nowhere");
} catch (Datastore\SystemException $e) {
    echo get_parent_class($e), ", ", get_parent_class(get_parent_class($e)), ", ", $e->getCode(), "\n";
}
$store = new Store();
try {
    $store->__construct("/");
} catch (Datastore\InvalidArgumentException $e) {
    echo $e->getMessage(), "\n";
}
class Half
{
    public static function store(): Store
    {
        return (new ReflectionClass(Store::class))->newInstanceWithoutConstructor();
    }
}
try {
    Half::store();
} catch (ReflectionException $e) {
    echo $e->getMessage(), "\n";
}
unset($store);
echo "done\n";
?>
--EXPECT--
Datastore\Exception, RuntimeException, 2
this store is open already
Class Datastore\Store is an internal class marked as final that cannot be instantiated without invoking its constructor
done
