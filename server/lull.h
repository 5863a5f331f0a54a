/*
 * lull.h - waits until the machine has nothing better to do, or until patience ends.
 *
 * A commit costs much the same for one row as for twenty. While processors are busy with work that will bring more
 * rows, it is better begun later; when one is idle, there is nothing to wait for. Which of both it is only the
 * scheduler knows: a thread of the lowest class (SCHED_IDLE) runs when nothing else wants to, and says so. Under light
 * load that is at once; under full load batches grow and nobody's processor is idle meanwhile.
 *
 * Threads:  one thread may wait.
 * Blocks:   lull_wait() up to patience_us.
 * Does not: wait where the system refuses the class (then it is always a lull). A thread that starves answers late: what
 *           it says then is thrown away.
 */
#ifndef ASSAY_LULL_H
#define ASSAY_LULL_H

#include <stdint.h>

#include "base/reason.h"

struct lull;

MUST_CHECK enum reason lull_open(struct lull **ret_lull, struct fault *f);
void lull_close(struct lull *lull); /* accepts NULL */
void lull_wait(struct lull *lull, int64_t patience_us);

#endif
