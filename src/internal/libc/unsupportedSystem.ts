/** Why there is no poller on this machine, or not of the kind that was asked for. */
export class UnsupportedSystem extends Error {}
