/* The planning question of who serves: with a context for each of many users, how many fit, in which mode, and how fast
 * is each at most. */
#ifndef MX_ADVISOR_SERVING_H
#define MX_ADVISOR_SERVING_H

#include "advisor/advise.h"

struct mx_serving_row {
    enum mx_mode mode;   /* the mode that will run: rows of modes that fall back to another are left out */
    uint64_t user_bytes; /* cache and state of one user with a full context */
    bool users_known;    /* the weights' size and the memory are known */
    uint64_t users;      /* that fit beside the weights, at most MX_ESTIMATE_MAX_BATCH */
    double user_rate;    /* tokens/s of each at most, with all users at a full context: 0 unknown */
    double all_rate;     /* of all together */
};

struct mx_serving {
    uint64_t context;
    uint32_t users; /* asked for */
    struct mx_serving_row rows[MX_MODE_COUNT];
    size_t count;
    int take; /* index of the row to take: the advised mode if all users fit in it, else the first in which they do,
                 from the one with the least loss on; -1: they fit in none, or it is not known */
};

/* Plans for model->request's context and batch. The rate is the floor that memory sets: a step reads the weights (of
 * experts those that so many tokens can use) and every user's cache once; `bandwidth` in bytes/s, 0: unknown. What
 * products cost is not in it, so a processor may reach less. */
void mx_serving_plan(struct mx_serving *serving, const struct mx_model_advice *model, double bandwidth);

#endif
