/* SPDX-License-Identifier: Apache-2.0 */
/* The header compiles as C11, alone and twice. */
#include <edge_ovss/edge_ovss.h>
#include <edge_ovss/edge_ovss.h>

int main(void) {
    const edge_ovss_options options = edge_ovss_options_default();
    return options.struct_size == sizeof options && edge_ovss_version() != NULL ? 0 : 1;
}
