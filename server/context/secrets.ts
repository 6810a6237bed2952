// Files that usually hold secrets. No model is shown them: not while they are edited, and not as
// context of others. A model could repeat what it read, in a file that is pushed.

import ignore from "ignore";

/**
 * Patterns as in .gitignore, without regard to case, at any depth; those without a / of files alone.
 * There is no exception for .env.example and its like: a model learns nothing from them, and a simple
 * rule can be relied on.
 */
export const secretPatterns: readonly string[] = [
  // Environments
  ...["*.env", ".env", ".env.*", ".envrc", ".dev.vars"],
  // Private keys and what keeps them. *.crt and *.cer are public.
  ...["*.pem", "*.key", "*.p8", "*.p12", "*.pfx", "*.pkcs12", "*.jks", "*.jceks", "*.bks"],
  ...["*.keystore", "*.keytab", "*.ppk", "*.gpg", "*.snk", "*.ovpn", "*.kdb", "*.kdbx"],
  ...["*.keychain", "*.keychain-db", "*_rsa", "*_dsa", "*_ecdsa", "*_ed25519"],
  ...[".ssh/", ".gnupg/", ".password-store/"],
  // Logins of tools
  ...[".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd", "htpasswd"],
  ...[".pgpass", "pgpass.conf", ".my.cnf", ".mylogin.cnf", ".s3cfg", ".boto", ".dockercfg"],
  ...["rclone.conf", "sftp-config.json", "sftp.json", ".ftpconfig", "sitemanager.xml"],
  ...["**/.docker/config.json", "**/.m2/settings.xml", "**/.gradle/gradle.properties"],
  // Clouds
  ...[
    ".aws/",
    ".azure/",
    "**/.config/gcloud/",
    "**/.config/gh/",
    "**/.kube/config",
    "kubeconfig",
    "*.kubeconfig",
  ],
  ...[".databrickscfg", ".terraformrc", "terraform.rc", "*.tfvars", "*.tfvars.json"],
  ...["*.tfstate", "*.tfstate.*", "*.publishsettings", "local.settings.json"],
  ...[".vault-token", ".vault_pass*", "*firebase-adminsdk*.json"],
  // What was typed into shells and consoles
  ".*_history",
  // Sources that hold logins by convention
  ...["arduino_secrets.h", "wp-config.php"],
];

/**
 * Names that say secrets, of files that are data. Source files are left out: secrets.ts and
 * credentials.go hold the code that handles secrets, and people want completions there. Shell
 * scripts count as data, because such ones set variables.
 */
export const secretNames: readonly string[] = [
  ...["*credentials.*", "credentials*", "secret", "secret.*", "secrets"],
  ...["*secrets.*", "*.secret", "*.secrets", "client_secret*", "service-account*"],
  ...["service_account*", "serviceaccount*", "passwords", "passwords.*", "passwd", "shadow"],
  ...["vault.yml", "vault.yaml", "auth.json", "token", "token.json", "token.txt", "secring.*"],
  ...["id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "gcp-key*", "*api_key*", "*api-key*"],
];

const SOURCE =
  /\.(?:[cm]?[jt]sx?|pyi?|go|rs|c|h|cc|cpp|cxx|hpp|hh|java|kts?|scala|cs|fs|vb|rb|php|swift|m|mm|dart|lua|ex|exs|erl|hs|ml|clj|jl|r|vue|svelte|astro|html|css|scss|sql|proto|md|rst)$/i;

const inPath = ignore().add(secretPatterns.filter((pattern) => pattern.includes("/")));
const inName = ignore().add(secretPatterns.filter((pattern) => !pattern.includes("/")));
const inNameOfData = ignore().add(secretNames);

/**
 * The pattern by which the file at `path` (see pathOf) usually holds secrets, or all that is in the
 * folder, if `path` ends with a /. null if none.
 */
export function secretPattern(path: string): string | null {
  if (!ignore.isPathValid(path)) return null; // the file system's root
  const name = path.slice(path.lastIndexOf("/") + 1);
  const found =
    inPath.test(path).rule ??
    (name === "" ? undefined : inName.test(name).rule) ??
    (name === "" || SOURCE.test(name) ? undefined : inNameOfData.test(name).rule);
  return found?.pattern ?? null;
}
