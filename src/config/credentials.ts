/** What a person is known by at a registry. Never shown, never part of an error. */
export interface UserPassword {
  readonly username: string;
  readonly password: string;
}

/** An OAuth2 refresh token, from which a token server makes tokens: there is no password. */
export interface IdentityToken {
  readonly identityToken: string;
}

export type Credentials = UserPassword | IdentityToken;

/** Whether a person has logged in by a token server, which then gave out a refresh token. */
export function isIdentityToken(credentials: Credentials): credentials is IdentityToken {
  return 'identityToken' in credentials;
}
