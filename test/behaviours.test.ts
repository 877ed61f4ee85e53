/** The behaviours that a user relies on, in every world: a test on `TestPoller` is worth what this file says. */
import { readinessBehaviours } from "./support/behaviours.ts"
import { lifeBehaviours } from "./support/lifeBehaviours.ts"
import { describeBehaviours } from "./support/worlds.ts"

describeBehaviours(readinessBehaviours)
describeBehaviours(lifeBehaviours)
