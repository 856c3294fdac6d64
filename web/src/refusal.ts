/** An error whose message is a whole sentence for the user. */
export class Refusal extends Error {}
