/** @file view.h
 * The list as it is now, to be read while it changes (export.c, snapshot.c → view → list_state).
 *
 * A forked child has the state as it was at the fork: the kernel copies a page when the writer changes it. The child walks
 * the layers and writes them into a pipe, and the reader takes them from there at its own pace. So the writer is held up
 * for the fork alone (the page tables: some ms for each 100 MiB of the list; on a virtual machine whose page tables are
 * its host's, 6 to 20), and a reader that is slow costs the pages that change meanwhile, not a copy of the list.
 *
 * This program has many threads, so in the child only what is async-signal-safe may happen: it reads memory, and calls
 * write, close_range, prctl and _exit, nothing else; no allocation, no lock, and no atfork handler (_Fork). It dies with
 * the thread that made it (PR_SET_PDEATHSIG), which must outlive the view; and it keeps no descriptor but the pipe:
 * least of all the log's lock.
 *
 * Threads: one at a time. */
#ifndef BL_VIEW_H
#define BL_VIEW_H

#include "bounceline/error.h"
#include "controlplane/answers.h"
#include "controlplane/list_state.h"

struct bl_view;

/** @p answers: NULL, or the answers' window too, behind the layers. The caller sees to it that neither changes during the
 * call (the state's read lock; the writer needs none). @return 0, BL_ENOMEM or BL_EIO. */
int bl_view_open(struct bl_view **out, const struct bl_list_state *state, const struct bl_answers *answers,
                 struct bl_error_detail *detail);

/** The next layer (in the state's order), or answer: the other's pointer is NULL. Both are the view's, until the next
 * call; their texts and data until bl_view_forget. Texts that layers in a row share are one pointer. @return 1; 0: that was all; or BL_EIO, BL_ENOMEM: the child ended before the end. */
int bl_view_next(struct bl_view *view, const struct bl_list_layer **layer, const struct bl_answer **answer);

/** The class table as it was: BL_CLASS_COUNT of them, the view's. */
const struct bl_class *bl_view_classes(const struct bl_view *view);

/** Lets go of all texts that were handed out. */
void bl_view_forget(struct bl_view *view);

/** Ends the child, wherever it is. */
void bl_view_close(struct bl_view *view);

#endif
