/** What notifications say, in a form to compare. */
import type { Notification } from "effect-amy"

/** Returns what a notification says, in a form to compare. Flags that are not set are left out. */
export const said = (notification: Notification.Notification) => ({
  id: notification.id,
  event: notification.event,
  flags: (["readClosed", "writeClosed", "error", "priority"] as const).filter((flag) => notification[flag])
})
