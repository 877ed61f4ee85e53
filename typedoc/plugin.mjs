/**
 * Shows the API as a user sees it: modules by the name under which the package exports them, and
 * classes made by `Context.Service` or `Schema.TaggedError` with their members. Leaves out brands.
 */
import { basename } from "node:path"
import { Converter, ReflectionFlag, ReflectionKind } from "typedoc"

/** @param {import("typedoc").Application} app */
export const load = (app) => {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      module.name = basename(module.name)
    }
    for (const property of project.getReflectionsByKind(ReflectionKind.Property)) {
      if (isBrand(property)) project.removeReflection(property)
    }
    for (const declaration of project.getReflectionsByKind(ReflectionKind.Class)) {
      const service = shapeOf(declaration)
      if (service !== undefined) {
        for (const constructor of declaration.children ?? []) project.removeReflection(constructor)
        adopt(declaration, service)
      }
      // The base is an expression, so its name is the text of the whole call.
      delete declaration.extendedTypes
      for (const member of declaration.children ?? []) forgetBase(member)
    }
    // All properties are, so it says nothing.
    for (const property of project.getReflectionsByKind(ReflectionKind.Property)) {
      property.setFlag(ReflectionFlag.Readonly, false)
    }
  })
}

/** Whether a property only marks what its object is. */
const isBrand = ({ name }) => name === "[TypeId]" || name.startsWith("~effect-amy/")

/** Returns the members of a service: the second type argument of the class that `Context.Service` returns. */
const shapeOf = ({ extendedTypes: [base] = [] }) =>
  base?.type === "reference" && base.qualifiedName === "ServiceClass.Shape"
    ? base.typeArguments?.find((argument) => argument.type === "reflection")?.declaration
    : undefined

/** Makes the members of a type those of a class. */
const adopt = (declaration, shape) => {
  for (const member of shape.children ?? []) member.parent = declaration
  declaration.children = shape.children
}

/** Forgets where a member and its signatures come from, and that the base gave it a value. */
const forgetBase = (reflection) => {
  delete reflection.defaultValue
  for (const each of [reflection, ...(reflection.signatures ?? []), reflection.getSignature]) {
    delete each?.inheritedFrom
    delete each?.overwrites
  }
}
