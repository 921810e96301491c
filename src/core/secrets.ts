/** What is shown instead of a secret. */
export const SECRET = "(secret)";

const SECRET_FIELD = /^(?:authorization|proxy-authorization|cookie|set-cookie)$|token|secret|key|password/i;

/**
 * Does the value of a header field prove who somebody is? Authorization, Proxy-Authorization, Cookie and Set-Cookie do, and
 * every field with token, secret, key or password in its name: rather one too many than one that is shown.
 */
export function isSecretField(name: string): boolean {
  return SECRET_FIELD.test(name);
}

/** The value of a field as it may be shown. */
export function shownFieldValue(name: string, value: string): string {
  return value !== "" && isSecretField(name) ? SECRET : value;
}

/** URLs in a text without user and password: `redis://:secret@store` becomes `redis://***@store`. */
export function withoutPasswords(text: string): string {
  return text.replaceAll(/\/\/[^\s",]*@/g, "//***@");
}
