/**
 * Shows the API as a user sees it. Modules have the name under which the package exports them, and
 * the comment that their file opens with. Variables that hold functions are functions. Classes made
 * by `Context.Service` or `Schema.TaggedError` have their members. Brands are left out.
 */
import { basename } from "node:path"
import { Comment, CommentTag, Converter, ReflectionFlag, ReflectionKind } from "typedoc"

/** @param {import("typedoc").Application} app */
export const load = (app) => {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    const { project } = context
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      module.name = basename(module.name)
      module.comment = openingComment(context.getSymbolFromReflection(module).declarations[0].getSourceFile().text)
    }
    project.children.sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const property of project.getReflectionsByKind(ReflectionKind.Property)) {
      if (isBrand(property)) project.removeReflection(property)
    }
    for (const variable of project.getReflectionsByKind(ReflectionKind.Variable)) asFunction(variable)
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

/**
 * Returns the comment that a file opens with. typedoc itself takes it only if it has a `@module`
 * tag.
 */
const openingComment = (text) => {
  const [, body] = /^\/\*\*\n([\s\S]*?)\n \*\//.exec(text)
  const [summary, since] = body.replaceAll(/^ \* ?/gm, "").split("@since")
  const parts = summary
    .split(/\{@link ([^}]+)\}/)
    .map((text, index) => (index % 2 === 0 ? { kind: "text", text } : { kind: "inline-tag", tag: "@link", text }))
  return new Comment(parts, [new CommentTag("@since", [{ kind: "text", text: since.trim() }])])
}

/** Whether a property only marks what its object is. */
const isBrand = ({ name }) => name === "[TypeId]" || name.startsWith("~effect-amy/")

/**
 * Returns the members of a service: the second type argument of the class that `Context.Service`
 * returns.
 */
const shapeOf = ({ extendedTypes: [base] = [] }) =>
  base?.type === "reference" && base.qualifiedName === "ServiceClass.Shape"
    ? base.typeArguments?.find((argument) => argument.type === "reflection")?.declaration
    : undefined

/** Makes the members of a type those of a class. */
const adopt = (declaration, shape) => {
  for (const member of shape.children ?? []) member.parent = declaration
  declaration.children = shape.children
}

/** Makes a variable that holds a function a function. */
const asFunction = (variable) => {
  const { children, signatures } = variable.type?.declaration ?? {}
  if (signatures === undefined || children !== undefined) return
  for (const signature of signatures) {
    signature.parent = variable
    signature.name = variable.name
    signature.comment = variable.comment
  }
  variable.kind = ReflectionKind.Function
  variable.signatures = signatures
  variable.setFlag(ReflectionFlag.Const, false)
  delete variable.type
  delete variable.comment
  delete variable.defaultValue
}

/** Forgets where a member and its signatures come from, and that the base gave it a value. */
const forgetBase = (reflection) => {
  delete reflection.defaultValue
  for (const each of [reflection, ...(reflection.signatures ?? []), reflection.getSignature]) {
    delete each?.inheritedFrom
    delete each?.overwrites
  }
}
