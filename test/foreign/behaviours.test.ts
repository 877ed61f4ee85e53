/** Waits for descriptors that a library reads, in every world. */
import { driveBehaviours } from "../support/driveBehaviours.ts"
import { foreignBehaviours } from "../support/foreignBehaviours.ts"
import { setBehaviours } from "../support/foreignSetBehaviours.ts"
import { describeBehaviours } from "../support/worlds.ts"

describeBehaviours(foreignBehaviours)
describeBehaviours(setBehaviours)
describeBehaviours(driveBehaviours)
