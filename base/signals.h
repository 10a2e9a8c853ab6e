/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

/* For a child that becomes something else: its parent's handlers and mask are
 * not for it. */

/* Each signal has its default action; the mask stays. */
void signals_default(void);
/* That, and none is blocked. */
void signals_reset(void);

#endif
