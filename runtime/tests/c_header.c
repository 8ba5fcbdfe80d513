/* SPDX-License-Identifier: Apache-2.0 */
/* The header compiles as C11, alone and twice; programs that use the names of 0.1 still compile. */
#include <edge_ovss/edge_ovss.h>
#include <edge_ovss/edge_ovss.h>

int main(void) {
    const edge_ovss_options options = edge_ovss_options_default();
    edge_ovss_result result = edge_ovss_result_default();
    result.labels_size = 1;
    result.confidence_size = 2;
    result.scores_size = 3;
    result.alive_room = 4;
    result.count_length = 5;
    const int same = result.labels_capacity == 1 && result.confidence_capacity == 2 &&
                     result.scores_capacity == 3 && result.alive_capacity == 4 &&
                     result.counts_count == 5;
    return same && options.struct_size == sizeof options && edge_ovss_version() != NULL ? 0 : 1;
}
