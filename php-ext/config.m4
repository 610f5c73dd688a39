dnl The extension `datastore`: PHP's side of libdatastore.
PHP_ARG_WITH([datastore],
  [for libdatastore],
  [AS_HELP_STRING([--with-datastore@<:@=DIR@:>@],
    [Include datastore. DIR has include/datastore.h and lib/libdatastore.so])])

if test "$PHP_DATASTORE" != "no"; then
  if test "$PHP_DATASTORE" = "yes"; then
    PKG_CHECK_MODULES([DATASTORE], [datastore])
    PHP_EVAL_INCLINE([$DATASTORE_CFLAGS])
    PHP_EVAL_LIBLINE([$DATASTORE_LIBS], [DATASTORE_SHARED_LIBADD])
  else
    if test ! -r "$PHP_DATASTORE/include/datastore.h"; then
      AC_MSG_ERROR([there is no include/datastore.h in $PHP_DATASTORE])
    fi
    PHP_ADD_INCLUDE([$PHP_DATASTORE/include])
    PHP_ADD_LIBRARY_WITH_PATH([datastore], [$PHP_DATASTORE/lib], [DATASTORE_SHARED_LIBADD])
  fi
  PHP_SUBST([DATASTORE_SHARED_LIBADD])
  PHP_NEW_EXTENSION([datastore], [datastore.c exception.c convert.c plan.c store.c], [$ext_shared],,
    [-std=c99 -Wall -Wextra -Wno-unused-parameter -DZEND_ENABLE_STATIC_TSRMLS_CACHE=1])
fi
