import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { secretNames, secretPattern, secretPatterns } from "../../../server/context/secrets";

/** The pattern that `path` falls under; null: a model may see it. */
function check(path: string, expected: string | null) {
  assert.equal(secretPattern(path), expected, path);
}

// An example each; a pattern without one fails.
const examples: Readonly<Record<string, string>> = {
  ".env": "app/.env",
  ".env.*": "app/.ENV.Production",
  "*.env": "deploy/prod.env",
  ".envrc": ".envrc",
  ".dev.vars": ".dev.vars",
  "*.pem": "tls/server.PEM",
  "*.key": "config/master.key",
  "*.p8": "AuthKey_AB12.p8",
  "*.p12": "a.p12",
  "*.pfx": "a.pfx",
  "*.pkcs12": "a.pkcs12",
  "*.jks": "a.jks",
  "*.jceks": "a.jceks",
  "*.bks": "a.bks",
  "*.keystore": "android/release.keystore",
  "*.keytab": "krb5.keytab",
  "*.ppk": "putty.ppk",
  "*.gpg": "a.gpg",
  "*.snk": "a.snk",
  "*.ovpn": "office.ovpn",
  "*.kdb": "a.kdb",
  "*.kdbx": "passwords of mine.kdbx",
  "*.keychain": "login.keychain",
  "*.keychain-db": "login.keychain-db",
  "*_rsa": "deploy_rsa",
  "*_dsa": "deploy_dsa",
  "*_ecdsa": "deploy_ecdsa",
  "*_ed25519": "deploy_ed25519",
  ".ssh/": "home/u/.ssh/config",
  ".gnupg/": "home/u/.gnupg/pubring.kbx",
  ".password-store/": "home/u/.password-store/mail",
  ".netrc": "home/u/.netrc",
  _netrc: "c/Users/u/_netrc",
  ".npmrc": "p/.npmrc",
  ".pypirc": ".pypirc",
  ".git-credentials": ".git-credentials",
  ".htpasswd": "www/.htpasswd",
  htpasswd: "nginx/htpasswd",
  ".pgpass": ".pgpass",
  "pgpass.conf": "c/Users/u/AppData/Roaming/postgresql/pgpass.conf",
  ".my.cnf": ".my.cnf",
  ".mylogin.cnf": ".mylogin.cnf",
  ".s3cfg": ".s3cfg",
  ".boto": ".boto",
  ".dockercfg": ".dockercfg",
  "rclone.conf": ".config/rclone/rclone.conf",
  "sftp-config.json": "sftp-config.json",
  "sftp.json": ".vscode/sftp.json",
  ".ftpconfig": ".ftpconfig",
  "sitemanager.xml": "filezilla/sitemanager.xml",
  "**/.docker/config.json": "home/u/.docker/config.json",
  "**/.m2/settings.xml": "home/u/.m2/settings.xml",
  "**/.gradle/gradle.properties": "home/u/.gradle/gradle.properties",
  ".aws/": "home/u/.aws/config",
  ".azure/": "home/u/.azure/accessTokens.json",
  "**/.config/gcloud/": "home/u/.config/gcloud/access_tokens.db",
  "**/.config/gh/": "home/u/.config/gh/hosts.yml",
  "**/.kube/config": "home/u/.kube/config",
  kubeconfig: "cluster/kubeconfig",
  "*.kubeconfig": "cluster/prod.kubeconfig",
  ".databrickscfg": ".databrickscfg",
  ".terraformrc": ".terraformrc",
  "terraform.rc": "terraform.rc",
  "*.tfvars": "infra/prod.tfvars",
  "*.tfvars.json": "infra/prod.tfvars.json",
  "*.tfstate": "infra/terraform.tfstate",
  "*.tfstate.*": "infra/terraform.tfstate.backup",
  "*.publishsettings": "a.publishsettings",
  "local.settings.json": "functions/local.settings.json",
  ".vault-token": ".vault-token",
  ".vault_pass*": ".vault_pass.txt",
  "*firebase-adminsdk*.json": "shop-firebase-adminsdk-x1.json",
  ".*_history": "home/u/.bash_history",
  "arduino_secrets.h": "sketch/arduino_secrets.h",
  "wp-config.php": "www/wp-config.php",
  "credentials*": "credentials",
  "*credentials.*": "gmail-credentials.json",
  secret: "docker/secret",
  "secret.*": "secret.yaml",
  secrets: "secrets",
  "*secrets.*": ".streamlit/secrets.toml",
  "*.secret": "a.secret",
  "*.secrets": "a.secrets",
  "client_secret*": "client_secret_12.apps.json",
  "service-account*": "service-account-prod.json",
  "service_account*": "service_account.json",
  "serviceaccount*": "serviceAccountKey.json",
  passwords: "passwords",
  "passwords.*": "passwords.csv",
  passwd: "etc/passwd",
  shadow: "etc/shadow",
  "vault.yml": "group_vars/vault.yml",
  "vault.yaml": "group_vars/vault.yaml",
  "auth.json": "auth.json",
  token: "token",
  "token.json": "token.json",
  "token.txt": "token.txt",
  "secring.*": "secring.kbx",
  "id_rsa*": "id_rsa.old",
  "id_dsa*": "id_dsa.bak",
  "id_ecdsa*": "id_ecdsa_sk.pub",
  "id_ed25519*": "keys/id_ed25519.bak",
  "gcp-key*": "gcp-key.json",
  "*api_key*": "openai_api_key.txt",
  "*api-key*": "api-keys.yaml",
};

suite("secrets", () => {
  for (const pattern of [...secretPatterns, ...secretNames]) {
    test(`${pattern} is never shown`, () => {
      const path = examples[pattern];
      assert.ok(path !== undefined, `no example of ${pattern}`);
      check(path, pattern);
    });
  }
  test("an example of an environment is not told from one", () => check(".env.example", ".env.*"));
  test("source files about secrets are shown", () => {
    for (const name of ["secrets.ts", "credentials.py", "token.go", "id_rsa_test.rs"]) {
      check(`src/${name}`, null);
    }
  });
  test("scripts that set secrets are data", () => check("credentials.sh", "credentials*"));
  test("a folder's name makes no secret of what is in it", () => {
    check("home/u/credentials-app/package.json", null);
    check("home/u/leetcode_dsa/a.txt", null);
    check("home/u/secrets/src/main.ts", null);
  });
  test("common files are shown", () => {
    for (const name of ["package.json", "README.md", "environment.ts", "key.ts", "a.env.ts"]) {
      check(`p/${name}`, null);
    }
  });
  test("a folder is a secret if all in it is", () => {
    check("home/u/.ssh/", ".ssh/");
    check("home/u/credentials/", null);
  });
});
