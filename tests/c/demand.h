/* What must hold, or the test ends here. */

#ifndef DEMAND_H
#define DEMAND_H

#include <stdio.h>
#include <stdlib.h>

#define DEMAND(is_so)                                                             \
  do {                                                                            \
    if (!(is_so)) {                                                               \
      fprintf(stderr, "%s:%d: this is not so: %s\n", __FILE__, __LINE__, #is_so); \
      exit(99);                                                                   \
    }                                                                             \
  } while (0)

#endif
