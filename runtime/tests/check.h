/* SPDX-License-Identifier: Apache-2.0 */
/* CHECK(condition): say where it does not hold and end with status 1. For C and C++. */
#ifndef EDGE_OVSS_TESTS_CHECK_H
#define EDGE_OVSS_TESTS_CHECK_H

#include <edge_ovss/edge_ovss.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                      \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            fprintf(stderr, "%s:%d: %s does not hold (last error: %s)\n", __FILE__, __LINE__, \
                    #condition, edge_ovss_last_error());                                      \
            exit(1);                                                                          \
        }                                                                                     \
    } while (0)

/* The call fails with this status, and the message has these words. */
#define CHECK_FAILS(call, status, words)                        \
    do {                                                        \
        CHECK((call) == (status));                              \
        CHECK(strstr(edge_ovss_last_error(), (words)) != NULL); \
    } while (0)

#endif
