/* What is bound where, and why not. */

#include <stdio.h>

#include "datastore.h"

static const char *field(const datastore_value_t *row, const char *name) {
  const char *text = datastore_value_text(datastore_value_get(row, datastore_text(name))).data;
  return text ? text : "";
}

static int fail(datastore_error_t *error) {
  fprintf(stderr, "%s\n", datastore_error_chain(error).data);
  datastore_text_t hint = datastore_error_hint(error);
  if (hint.data) fprintf(stderr, "to mend it: %s\n", hint.data);
  datastore_error_free(error);
  return 1;
}

int main(void) {
  datastore_t *store = NULL;
  datastore_value_t *status = NULL;
  if (datastore_abi() != DATASTORE_ABI) return 2;
  datastore_error_t *error = datastore_open(datastore_text("/"), &store);
  if (error) return fail(error);
  error = datastore_status(store, NULL, 0, &status);
  if (!error) {
    const datastore_value_t *rows = datastore_value_get(status, datastore_text("mappings"));
    for (size_t i = 0; i < datastore_value_len(rows); i++) {
      const datastore_value_t *row = datastore_value_at(rows, i);
      /* What nobody has asked for. */
      if (!strcmp(field(row, "state"), "disabled")) continue;
      printf("%-9s %-12s %s\n", field(row, "state"), field(row, "app"), field(row, "mount_point"));
      if (*field(row, "hint")) printf("          to mend it: %s\n", field(row, "hint"));
    }
  }
  datastore_value_free(status);
  datastore_free(store);
  return error ? fail(error) : 0;
}
