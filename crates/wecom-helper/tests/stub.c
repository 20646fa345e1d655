/* Stands for the customer's WeCom library in tests: the same C interface, and every way to misbehave.
 * Ours; nothing of the vendor's is in it. What it does hangs on the corp id and on what is asked. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { char *buf; int len; } Slice_t;
typedef struct { char *index; int index_len; char *data; int data_len; int finished; } MediaData_t;
typedef struct { int alive; char folder[256]; } Sdk_t;

static const char FILE_BYTES[] = "hello";

static void fill(char **at, int *len, const char *text) {
    *len = (int)strlen(text);
    *at = malloc((size_t)*len + 1);
    memcpy(*at, text, (size_t)*len + 1);
}

Sdk_t *NewSdk(void) { return calloc(1, sizeof(Sdk_t)); }
void DestroySdk(Sdk_t *sdk) { free(sdk); }

int Init(Sdk_t *sdk, const char *corp_id, const char *secret) {
    printf("the library says hello\n");
    fflush(stdout);
    if (strcmp(corp_id, "crash") == 0) abort();
    if (strcmp(secret, "right") != 0) return 10004;
    /* A corp id that is a folder: answers are the files in it that are named by the seq asked with. */
    if (corp_id[0] == '/') snprintf(sdk->folder, sizeof sdk->folder, "%s", corp_id);
    sdk->alive = 1;
    return 0;
}

Slice_t *NewSlice(void) { return calloc(1, sizeof(Slice_t)); }
void FreeSlice(Slice_t *slice) { free(slice->buf); free(slice); }
char *GetContentFromSlice(Slice_t *slice) { return slice->buf; }
int GetSliceLen(Slice_t *slice) { return slice->len; }

int GetChatData(Sdk_t *sdk, unsigned long long seq, unsigned int limit, const char *proxy, const char *password,
                int timeout, Slice_t *out) {
    char text[256];
    (void)password;
    if (!sdk->alive || limit == 0 || limit > 1000) return 10000;
    if (sdk->folder[0] != 0) {
        char path[300], answer[8192];
        FILE *file;
        snprintf(path, sizeof path, "%s/%llu", sdk->folder, seq);
        file = fopen(path, "r");
        if (!file) {
            fill(&out->buf, &out->len, "{\"errcode\":0,\"chatdata\":[]}");
            return 0;
        }
        answer[fread(answer, 1, sizeof answer - 1, file)] = 0;
        fclose(file);
        fill(&out->buf, &out->len, answer);
        return 0;
    }
    switch (seq) {
    case 1: abort();
    case 2: for (;;) pause();
    case 3: return 10001;
    case 4: out->len = 100; return 0;          /* a length without bytes */
    case 5: out->len = -1; return 0;           /* a negative length */
    case 6: fill(&out->buf, &out->len, "<html>"); return 0;
    case 7: _exit(0);                          /* ends as if all were well */
    case 8: out->len = 2000000000; out->buf = malloc(1); return 0;
    }
    printf("noise on the standard output\n");
    fflush(stdout);
    snprintf(text, sizeof text, "{\"errcode\":0,\"chatdata\":[],\"asked\":\"%llu %u %s %d\"}", seq, limit, proxy, timeout);
    fill(&out->buf, &out->len, text);
    return 0;
}

int DecryptData(const char *key, const char *message, Slice_t *out) {
    char text[256];
    if (strcmp(message, "crash") == 0) *(volatile int *)8 = 1;
    if (strcmp(key, "right") != 0) return 10008;
    if (strncmp(message, "plain:", 6) == 0) {
        fill(&out->buf, &out->len, message + 6);
        return 0;
    }
    if (strncmp(message, "hex:", 4) == 0) {    /* so that an item does not hold in the clear what it says */
        size_t i, length = strlen(message + 4) / 2;
        out->buf = malloc(length + 1);
        for (i = 0; i < length; i++) {
            unsigned byte = 0;
            sscanf(message + 4 + 2 * i, "%2x", &byte);
            out->buf[i] = (char)byte;
        }
        out->buf[length] = 0;
        out->len = (int)length;
        return 0;
    }
    snprintf(text, sizeof text, "%s opened", message);
    fill(&out->buf, &out->len, text);
    return 0;
}

MediaData_t *NewMediaData(void) { return calloc(1, sizeof(MediaData_t)); }
void FreeMediaData(MediaData_t *media) { free(media->index); free(media->data); free(media); }
char *GetOutIndexBuf(MediaData_t *media) { return media->index; }
int GetIndexLen(MediaData_t *media) { return media->index_len; }
char *GetData(MediaData_t *media) { return media->data; }
int GetDataLen(MediaData_t *media) { return media->data_len; }
int IsMediaDataFinish(MediaData_t *media) { return media->finished; }

/* Two bytes at a time. A file whose id is a path crashes in the middle, once: the path is made first. */
int GetMediaData(Sdk_t *sdk, const char *index, const char *file_id, const char *proxy, const char *password,
                 int timeout, MediaData_t *out) {
    int from = 0;
    char next[64], piece[3] = {0, 0, 0};
    (void)sdk; (void)proxy; (void)password; (void)timeout;
    if (strcmp(file_id, "gone") == 0) return 10010;
    if (*index != 0 && sscanf(index, "Range:bytes=%d-", &from) != 1) return 10000;
    if (file_id[0] == '/' && from > 0 && access(file_id, F_OK) != 0) {
        FILE *mark = fopen(file_id, "w");
        if (mark) fclose(mark);
        abort();
    }
    strncpy(piece, FILE_BYTES + from, 2);
    fill(&out->data, &out->data_len, piece);
    from += out->data_len;
    snprintf(next, sizeof next, "Range:bytes=%d-%d", from, from + 1);
    fill(&out->index, &out->index_len, next);
    out->finished = from >= (int)strlen(FILE_BYTES);
    return 0;
}
