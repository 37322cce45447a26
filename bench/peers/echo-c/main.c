/* The least that a subscription callback of the official C client can do: send the payload back. */

#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void check(natsStatus status, const char *what)
{
    if (status != NATS_OK) {
        fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(status));
        exit(1);
    }
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set\n", name);
        exit(1);
    }
    return value;
}

static void on_get(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *closure)
{
    (void)subscription;
    (void)closure;
    check(natsConnection_Publish(connection, natsMsg_GetReply(message), natsMsg_GetData(message),
                                 natsMsg_GetDataLength(message)),
          "publish");
    natsMsg_Destroy(message);
}

int main(void)
{
    natsConnection *connection = NULL;
    natsSubscription *subscription = NULL;
    char subject[256];
    sigset_t stop;
    int number;

    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    /* Before the client starts its threads, which inherit the mask. */
    sigprocmask(SIG_BLOCK, &stop, NULL);

    snprintf(subject, sizeof subject, "kaa.v1.service.%s.epmmp.ep-metadata-get-request", setting("INSTANCE"));
    check(natsConnection_ConnectTo(&connection, setting("NATS_URL")), "connect");
    check(natsConnection_QueueSubscribe(&subscription, connection, subject, "bench", on_get, NULL), "subscribe");
    check(natsSubscription_SetPendingLimits(subscription, 1000000, 1 << 30), "limits");
    check(natsConnection_Flush(connection), "flush");
    puts("ready");
    fflush(stdout);
    sigwait(&stop, &number);
    natsSubscription_Destroy(subscription);
    natsConnection_Destroy(connection);
    nats_Close();
    return 0;
}
