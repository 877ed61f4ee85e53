/**
 * Properties that an object seems to hold, and computes: what `effect/socket` gives as plain objects
 * can be enumerated and copied, `{ ...socket }`. All objects of a class share the functions, so that
 * none takes memory for them.
 */

/** Makes what `Object.defineProperties` adds to each object of a class. */
export const ownProperties = <Self>(
  getters: Readonly<Record<string, (self: Self) => unknown>>
): PropertyDescriptorMap & ThisType<Self> =>
  Object.fromEntries(
    Object.entries(getters).map(([name, get]) => [
      name,
      {
        enumerable: true,
        get(this: Self) {
          return get(this)
        }
      }
    ])
  )
