/*
 * users.c - HTTP Basic: slow salted hashes, and a cache so that a busy client does not pay for one each time.
 *
 * The cache holds HMACs of verified (user, password) pairs under a random key of this process: what a memory image
 * gives away is no faster to guess than with the key, and wrong passwords never get in. An unknown user costs the
 * time of a known one's hash.
 */
#include "users.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "json_keys.h"

#define USERS_MAX 1024
#define CACHE_SLOTS 1024 /* one entry a slot, the newer one stays */
#define DIGEST_BYTES 32
#define PASSWORD_CHARS_MAX 128

struct user {
	char name[LIMIT_NAME_CHARS + 1];
	char hash[CRYPT_OUTPUT_SIZE];
	char names[LIMIT_NAME_CHARS + 1];
	char labels[128]; /* as in struct requester */
};

struct users {
	size_t n;
	struct user *user;
	uint8_t key[DIGEST_BYTES];
	pthread_mutex_t lock;
	uint8_t cache[CACHE_SLOTS][DIGEST_BYTES];
	bool used[CACHE_SLOTS];
};

/* --- the file --- */

static enum reason read_name(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct user *user = object;

	if (json_is_string(value) && json_string_length(value) == 0)
		return REASON_OK; /* a password that stands alone, RFC 7030 section 3.2.3 */
	TRY(json_read_text(value, user->name, sizeof(user->name), where, f));
	if (strchr(user->name, ':') != NULL)
		return json_refuse(where, "a name without \":\" (RFC 7617 section 2)", value, f);
	return REASON_OK;
}

/* The hash itself is not repeated in a refusal: it is half a secret. */
static enum reason read_hash(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	static const char *const slow[] = { "$y$", "$gy$", "$7$", "$2b$", "$6$" };
	struct user *user = object;
	const char *text = json_string_value(value);

	for (size_t i = 0; text != NULL && i < sizeof(slow) / sizeof(slow[0]); i++)
		if (strncmp(text, slow[i], strlen(slow[i])) == 0 && strlen(text) < sizeof(user->hash) &&
		    crypt_checksalt(text) == CRYPT_SALT_OK) {
			memcpy(user->hash, text, strlen(text) + 1);
			return REASON_OK;
		}
	return fault_set(f, REASON_CONFIG,
			 "%s: %s: allowed: a crypt(5) hash of a slow method ($y$ $gy$ $7$ $2b$ $6$); make one with "
			 "assayd --hash-password",
			 where->file, where->key);
}

static enum reason read_names(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct user *user = object;
	const char *star;

	TRY(json_read_text(value, user->names, sizeof(user->names), where, f));
	star = strchr(user->names, '*');
	if (star != NULL && star[1] != '\0')
		return json_refuse(where, "a name, or a beginning with one * at its end", value, f);
	return REASON_OK;
}

static enum reason read_labels(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct user *user = object;
	size_t len = 0, i;
	const json_t *entry;

	if (json_array_size(value) == 0)
		return json_refuse(where, "a list of at least one label", value, f);
	json_array_foreach(value, i, entry) {
		const char *label = json_string_value(entry);

		if (label == NULL || label[0] == '\0' || strchr(label, ',') != NULL)
			return json_refuse(where, "labels", entry, f);
		len += (size_t)snprintf(user->labels + len, sizeof(user->labels) - len, "%s%s", i == 0 ? "" : ",",
					label);
		if (len >= sizeof(user->labels))
			return json_refuse(where, "labels of 127 characters together", value, f);
	}
	return REASON_OK;
}

static const struct json_key user_keys[] = {
	{ "user", true, read_name },
	{ "hash", true, read_hash },
	{ "names", true, read_names },
	{ "labels", true, read_labels },
};

static const struct user *find_user(const struct users *users, const char *name)
{
	for (size_t i = 0; i < users->n; i++)
		if (strcmp(users->user[i].name, name) == 0)
			return &users->user[i];
	return NULL;
}

static enum reason add_user(struct users *users, const json_t *entry, const struct where *where, struct fault *f)
{
	struct user user = { 0 };

	TRY(json_keys_read(entry, user_keys, sizeof(user_keys) / sizeof(user_keys[0]), &user, where, f));
	if (find_user(users, user.name) != NULL)
		return fault_set(f, REASON_CONFIG, "%s: user: \"%s\" stands there twice", where->file, user.name);
	users->user[users->n++] = user;
	return REASON_OK;
}

static struct users *users_new(size_t n)
{
	struct users *users = calloc(1, sizeof(*users));

	if (users == NULL)
		return NULL;
	pthread_mutex_init(&users->lock, NULL);
	users->user = calloc(n + 1, sizeof(*users->user));
	if (users->user != NULL && RAND_bytes(users->key, sizeof(users->key)) == 1)
		return users;
	users_free(users);
	return NULL;
}

enum reason users_parse(const char *file, struct blob bytes, struct users **ret_users, struct fault *f)
{
	AUTO(users_freep) struct users *users = NULL;
	AUTO(json_decrefp) json_t *json = NULL;
	struct where where = { .file = file, .key = "" };
	const json_t *entry;
	size_t i;

	TRY(json_file_parse(file, bytes, &json, f));
	if (!json_is_array(json) || json_array_size(json) > USERS_MAX)
		return fault_set(f, REASON_CONFIG, "%s: must be a list of at most %d users", file, USERS_MAX);
	users = users_new(json_array_size(json));
	if (users == NULL)
		return fault_set(f, REASON_NO_MEMORY, "users");
	json_array_foreach(json, i, entry) {
		snprintf(where.key, sizeof(where.key), "[%zu]", i);
		TRY(add_user(users, entry, &where, f));
	}
	*ret_users = TAKE(users);
	return REASON_OK;
}

void users_free(struct users *users)
{
	if (users == NULL)
		return;
	pthread_mutex_destroy(&users->lock);
	free(users->user);
	OPENSSL_cleanse(users, sizeof(*users));
	free(users);
}

static enum reason check_user_labels(const struct user *user, const char *file, const struct policy *policy,
				     struct fault *f)
{
	char labels[sizeof(user->labels)], *save = NULL;

	memcpy(labels, user->labels, sizeof(labels));
	for (char *label = strtok_r(labels, ",", &save); label != NULL; label = strtok_r(NULL, ",", &save))
		if (policy_profile(policy, label) == NULL)
			return fault_set(f, REASON_CONFIG, "%s: user \"%s\": labels: \"%s\" has no profile", file,
					 user->name, label);
	return REASON_OK;
}

enum reason users_check_labels(const struct users *users, const char *file, const struct policy *policy,
			       struct fault *f)
{
	for (size_t i = 0; i < users->n; i++)
		TRY(check_user_labels(&users->user[i], file, policy, f));
	return REASON_OK;
}

/* --- verification --- */

/* False when memory is short: then `out` is whatever it was, and no key into the cache. */
static bool cache_digest(const struct users *users, const char *user, const char *password, uint8_t out[DIGEST_BYTES])
{
	uint8_t input[LIMIT_NAME_CHARS + 1 + PASSWORD_CHARS_MAX];
	size_t name_len = strlen(user) + 1, password_len = strlen(password);
	unsigned len = 0;
	bool made;

	memcpy(input, user, name_len); /* with its NUL: no pair reads like another */
	memcpy(input + name_len, password, password_len);
	made = HMAC(EVP_sha256(), users->key, sizeof(users->key), input, name_len + password_len, out, &len) != NULL;
	OPENSSL_cleanse(input, sizeof(input));
	return made;
}

static size_t cache_slot(const uint8_t digest[DIGEST_BYTES])
{
	return ((size_t)digest[0] << 8 | digest[1]) % CACHE_SLOTS;
}

static bool cache_has(struct users *users, const uint8_t digest[DIGEST_BYTES])
{
	size_t slot = cache_slot(digest);
	bool found;

	pthread_mutex_lock(&users->lock);
	found = users->used[slot] && CRYPTO_memcmp(users->cache[slot], digest, DIGEST_BYTES) == 0;
	pthread_mutex_unlock(&users->lock);
	return found;
}

static void cache_put(struct users *users, const uint8_t digest[DIGEST_BYTES])
{
	size_t slot = cache_slot(digest);

	pthread_mutex_lock(&users->lock);
	memcpy(users->cache[slot], digest, DIGEST_BYTES);
	users->used[slot] = true;
	pthread_mutex_unlock(&users->lock);
}

/* crypt_r wants 32 KiB of working memory: on the heap, wiped. */
static bool hash_fits(const char *password, const char *hash)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *made;
	bool fits;

	if (data == NULL)
		return false;
	made = crypt_r(password, hash, data);
	fits = made != NULL && made[0] != '*' && blob_equal_secret(BLOB_STR(made), BLOB_STR(hash));
	OPENSSL_cleanse(data, sizeof(*data));
	free(data);
	return fits;
}

static bool password_fits(struct users *users, const struct user *user, const char *password)
{
	uint8_t digest[DIGEST_BYTES];
	bool made = cache_digest(users, user->name, password, digest), cached = made && cache_has(users, digest);
	bool fits = cached || hash_fits(password, user->hash);

	if (fits && made && !cached)
		cache_put(users, digest);
	OPENSSL_cleanse(digest, sizeof(digest));
	return fits;
}

enum reason users_verify(struct users *users, const char *user, const char *password, struct requester *ret_who,
			 struct fault *f)
{
	const struct user *known = users == NULL ? NULL : find_user(users, user);

	if (users == NULL || users->n == 0)
		return fault_set(f, REASON_AUTH_PASSWORD, "no users are configured");
	if (strlen(password) > PASSWORD_CHARS_MAX)
		return fault_set(f, REASON_AUTH_PASSWORD, "password of %zu characters", strlen(password));
	if (known == NULL) {
		(void)hash_fits(password, users->user[0].hash); /* takes the time that a known user takes */
		return fault_set(f, REASON_AUTH_PASSWORD, "unknown user \"%.64s\"", user);
	}
	if (!password_fits(users, known, password))
		return fault_set(f, REASON_AUTH_PASSWORD, "wrong password for user \"%s\"", user);
	*ret_who = (struct requester){ .kind = WHO_USER };
	snprintf(ret_who->id, sizeof(ret_who->id), "user:%s", known->name);
	memcpy(ret_who->names, known->names, sizeof(known->names));
	memcpy(ret_who->labels, known->labels, sizeof(known->labels));
	return REASON_OK;
}

enum reason policy_hash_password(const char *password, char *out, size_t cap, struct fault *f)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	enum reason reason = REASON_OK;
	const char *made;

	if (data == NULL)
		return fault_set(f, REASON_NO_MEMORY, "crypt_data");
	if (password[0] == '\0' || strlen(password) > PASSWORD_CHARS_MAX)
		reason = fault_set(f, REASON_CONFIG, "password: allowed: 1 to %d characters", PASSWORD_CHARS_MAX);
	else if (crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof(salt)) == NULL)
		reason = fault_set(f, REASON_INTERNAL, "no yescrypt in this libcrypt");
	else if ((made = crypt_r(password, salt, data)) == NULL || made[0] == '*' || strlen(made) >= cap)
		reason = fault_set(f, REASON_INTERNAL, "yescrypt failed");
	else
		memcpy(out, made, strlen(made) + 1);
	OPENSSL_cleanse(data, sizeof(*data));
	free(data);
	return reason;
}
