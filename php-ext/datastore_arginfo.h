/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: 6bc64672cdd6a42b3e125d6ed98f406d00df5a32 */

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Exception_getHint, 0, 0, IS_STRING, 0)
ZEND_END_ARG_INFO()

#define arginfo_class_Datastore_Exception_getReason arginfo_class_Datastore_Exception_getHint

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_Datastore_Plan___construct, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Plan_toArray, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_Datastore_Store___construct, 0, 0, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, root, IS_STRING, 0, "\"/\"")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Store_status, 0, 0, IS_ARRAY, 0)
	ZEND_ARG_VARIADIC_TYPE_INFO(0, apps, IS_STRING, 0)
ZEND_END_ARG_INFO()

#define arginfo_class_Datastore_Store_doctor arginfo_class_Datastore_Store_status

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Store_check, 0, 0, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, app, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Store_guard, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, app, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Store_operation, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, id, IS_STRING, 0)
ZEND_END_ARG_INFO()

#define arginfo_class_Datastore_Store_log arginfo_class_Datastore_Store_status

#define arginfo_class_Datastore_Store_usage arginfo_class_Datastore_Store_status

#define arginfo_class_Datastore_Store_candidates arginfo_class_Datastore_Plan_toArray

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_class_Datastore_Store_plan, 0, 0, Datastore\\Plan, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, verb, IS_STRING, 0, "\"apply\"")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, apps, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, options, IS_ARRAY, 0, "[]")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Store_save, 0, 1, IS_STRING, 0)
	ZEND_ARG_OBJ_INFO(0, plan, Datastore\\Plan, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_class_Datastore_Store_load, 0, 1, Datastore\\Plan, 0)
	ZEND_ARG_TYPE_INFO(0, id, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Store_apply, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_OBJ_INFO(0, plan, Datastore\\Plan, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, progress, IS_CALLABLE, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Store_run, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, verb, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, apps, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, options, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, progress, IS_CALLABLE, 1, "null")
ZEND_END_ARG_INFO()

#define arginfo_class_Datastore_Store_start arginfo_class_Datastore_Store_status

#define arginfo_class_Datastore_Store_stop arginfo_class_Datastore_Store_status

#define arginfo_class_Datastore_Store_remap arginfo_class_Datastore_Store_status

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Store_import, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, app, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, options, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, progress, IS_CALLABLE, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Datastore_Store_move, 0, 2, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, app, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, to, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, options, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, progress, IS_CALLABLE, 1, "null")
ZEND_END_ARG_INFO()


ZEND_METHOD(Datastore_Exception, getHint);
ZEND_METHOD(Datastore_Exception, getReason);
ZEND_METHOD(Datastore_Plan, __construct);
ZEND_METHOD(Datastore_Plan, toArray);
ZEND_METHOD(Datastore_Store, __construct);
ZEND_METHOD(Datastore_Store, status);
ZEND_METHOD(Datastore_Store, doctor);
ZEND_METHOD(Datastore_Store, check);
ZEND_METHOD(Datastore_Store, guard);
ZEND_METHOD(Datastore_Store, operation);
ZEND_METHOD(Datastore_Store, log);
ZEND_METHOD(Datastore_Store, usage);
ZEND_METHOD(Datastore_Store, candidates);
ZEND_METHOD(Datastore_Store, plan);
ZEND_METHOD(Datastore_Store, save);
ZEND_METHOD(Datastore_Store, load);
ZEND_METHOD(Datastore_Store, apply);
ZEND_METHOD(Datastore_Store, run);
ZEND_METHOD(Datastore_Store, start);
ZEND_METHOD(Datastore_Store, stop);
ZEND_METHOD(Datastore_Store, remap);
ZEND_METHOD(Datastore_Store, import);
ZEND_METHOD(Datastore_Store, move);


static const zend_function_entry class_Datastore_Exception_methods[] = {
	ZEND_ME(Datastore_Exception, getHint, arginfo_class_Datastore_Exception_getHint, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Exception, getReason, arginfo_class_Datastore_Exception_getReason, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};


static const zend_function_entry class_Datastore_InvalidArgumentException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_Datastore_RefusedException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_Datastore_SystemException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_Datastore_PrivilegeException_methods[] = {
	ZEND_FE_END
};


static const zend_function_entry class_Datastore_Plan_methods[] = {
	ZEND_ME(Datastore_Plan, __construct, arginfo_class_Datastore_Plan___construct, ZEND_ACC_PRIVATE)
	ZEND_ME(Datastore_Plan, toArray, arginfo_class_Datastore_Plan_toArray, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};


static const zend_function_entry class_Datastore_Store_methods[] = {
	ZEND_ME(Datastore_Store, __construct, arginfo_class_Datastore_Store___construct, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, status, arginfo_class_Datastore_Store_status, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, doctor, arginfo_class_Datastore_Store_doctor, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, check, arginfo_class_Datastore_Store_check, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, guard, arginfo_class_Datastore_Store_guard, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, operation, arginfo_class_Datastore_Store_operation, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, log, arginfo_class_Datastore_Store_log, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, usage, arginfo_class_Datastore_Store_usage, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, candidates, arginfo_class_Datastore_Store_candidates, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, plan, arginfo_class_Datastore_Store_plan, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, save, arginfo_class_Datastore_Store_save, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, load, arginfo_class_Datastore_Store_load, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, apply, arginfo_class_Datastore_Store_apply, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, run, arginfo_class_Datastore_Store_run, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, start, arginfo_class_Datastore_Store_start, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, stop, arginfo_class_Datastore_Store_stop, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, remap, arginfo_class_Datastore_Store_remap, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, import, arginfo_class_Datastore_Store_import, ZEND_ACC_PUBLIC)
	ZEND_ME(Datastore_Store, move, arginfo_class_Datastore_Store_move, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};

static zend_class_entry *register_class_Datastore_Exception(zend_class_entry *class_entry_RuntimeException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Datastore", "Exception", class_Datastore_Exception_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_RuntimeException);

	zval property_hint_default_value;
	ZVAL_EMPTY_STRING(&property_hint_default_value);
	zend_string *property_hint_name = zend_string_init("hint", sizeof("hint") - 1, 1);
	zend_declare_typed_property(class_entry, property_hint_name, &property_hint_default_value, ZEND_ACC_PROTECTED, NULL, (zend_type) ZEND_TYPE_INIT_MASK(MAY_BE_STRING));
	zend_string_release(property_hint_name);

	zval property_reason_default_value;
	ZVAL_EMPTY_STRING(&property_reason_default_value);
	zend_string *property_reason_name = zend_string_init("reason", sizeof("reason") - 1, 1);
	zend_declare_typed_property(class_entry, property_reason_name, &property_reason_default_value, ZEND_ACC_PROTECTED, NULL, (zend_type) ZEND_TYPE_INIT_MASK(MAY_BE_STRING));
	zend_string_release(property_reason_name);

	return class_entry;
}

static zend_class_entry *register_class_Datastore_InvalidArgumentException(zend_class_entry *class_entry_Datastore_Exception)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Datastore", "InvalidArgumentException", class_Datastore_InvalidArgumentException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_Datastore_Exception);
	class_entry->ce_flags |= ZEND_ACC_FINAL;

	return class_entry;
}

static zend_class_entry *register_class_Datastore_RefusedException(zend_class_entry *class_entry_Datastore_Exception)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Datastore", "RefusedException", class_Datastore_RefusedException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_Datastore_Exception);
	class_entry->ce_flags |= ZEND_ACC_FINAL;

	return class_entry;
}

static zend_class_entry *register_class_Datastore_SystemException(zend_class_entry *class_entry_Datastore_Exception)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Datastore", "SystemException", class_Datastore_SystemException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_Datastore_Exception);
	class_entry->ce_flags |= ZEND_ACC_FINAL;

	return class_entry;
}

static zend_class_entry *register_class_Datastore_PrivilegeException(zend_class_entry *class_entry_Datastore_Exception)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Datastore", "PrivilegeException", class_Datastore_PrivilegeException_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_Datastore_Exception);
	class_entry->ce_flags |= ZEND_ACC_FINAL;

	return class_entry;
}

static zend_class_entry *register_class_Datastore_Plan(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Datastore", "Plan", class_Datastore_Plan_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;

	return class_entry;
}

static zend_class_entry *register_class_Datastore_Store(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Datastore", "Store", class_Datastore_Store_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;

	return class_entry;
}
