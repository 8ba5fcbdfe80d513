/* SPDX-License-Identifier: Apache-2.0 */
#include <edge_ovss/edge_ovss.h>
#include <stdio.h>

int main(int argc, char **argv) {
    edge_ovss_session *session = NULL;
    edge_ovss_status status = edge_ovss_open(argc > 1 ? argv[1] : "", NULL, &session);
    if (status == EDGE_OVSS_OK) {
        status = edge_ovss_selftest(session, NULL);
    }
    if (status != EDGE_OVSS_OK) {
        fprintf(stderr, "%s\n", edge_ovss_last_error());
    } else {
        printf("edge_ovss %s: the selftest passed\n", edge_ovss_version());
    }
    edge_ovss_close(session);
    return (int)status;
}
