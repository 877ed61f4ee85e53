/**
 * The behaviours that a user relies on, in every world. They show how far a test on `TestPoller`
 * can be trusted.
 */
import { readinessBehaviours } from "./support/behaviours.ts"
import { lifeBehaviours } from "./support/lifeBehaviours.ts"
import { describeBehaviours } from "./support/worlds.ts"

describeBehaviours(readinessBehaviours)
describeBehaviours(lifeBehaviours)
