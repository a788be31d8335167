/* Looks at the page as a browser draws it: each plot alone shows its series' colours, and a page without it does not.
 */
#include <png.h>

#include "samples.h"

static struct mx_error err;

/* Draws the report of these sections and counts the pixels of a colour, 0xrrggbb. */
struct picture {
    unsigned char *pixels; /* [width * height][3] */
    size_t count;
};

static struct picture draw(unsigned sections)
{
    char folder[] = "/tmp/mlxcel-page-XXXXXX", path[64], command[320];
    assert_non_null(mkdtemp(folder));
    struct samples samples;
    fill_samples(&samples, sections);
    struct mx_str page = {0};
    assert_ok(mx_report_write(&page, samples.records, samples.count, MX_REPORT_HTML, &err));
    snprintf(path, sizeof path, "%s/report.html", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(mx_str_text(&page), file);
    fclose(file);
    mx_str_free(&page);
    snprintf(command, sizeof command,
             "cd %s && timeout 120 chromium --headless --no-sandbox --disable-gpu --user-data-dir=%s/profile "
             "--screenshot=page.png --window-size=900,2400 file://%s >/dev/null 2>&1",
             folder, folder, path);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/page.png", folder);
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, path));
    image.format = PNG_FORMAT_RGB;
    struct picture picture = {malloc(PNG_IMAGE_SIZE(image)), (size_t)image.width * image.height};
    assert_non_null(picture.pixels);
    assert_true(png_image_finish_read(&image, NULL, picture.pixels, 0, NULL));
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    return picture;
}

static size_t pixels_of(const struct picture *picture, unsigned colour)
{
    size_t count = 0;
    for (size_t i = 0; i < picture->count; i++) {
        const unsigned char *pixel = &picture->pixels[3 * i];
        count += pixel[0] == colour >> 16 && pixel[1] == (colour >> 8 & 255) && pixel[2] == (colour & 255);
    }
    return count;
}

static void every_plot_is_drawn(void **state)
{
    (void)state;
    enum {
        SERIES = 0xd55e00, /* of a plot's third series, on light ground */
        SHARE = 0x338ec1,  /* of a share of 1: that blue, four fifths opaque on white */
        FEW = 20,          /* pixels of any colour that the smoothing of letters may make */
    };
    static const unsigned plots[] = {SPEED, QUALITY, POSITION, DRIFT};
    for (size_t i = 0; i < sizeof plots / sizeof *plots; i++) {
        struct picture picture = draw(plots[i]);
        assert_true(pixels_of(&picture, SERIES) > 60);
        free(picture.pixels);
    }
    struct picture heat = draw(RETRIEVAL), nothing = draw(0);
    assert_true(pixels_of(&heat, SHARE) > 1000);
    assert_true(pixels_of(&nothing, SHARE) < FEW && pixels_of(&nothing, SERIES) < FEW);
    free(heat.pixels);
    free(nothing.pixels);
}

int main(void)
{
    if (system("command -v chromium >/dev/null") != 0) {
        puts("report_screenshot: 0 passed, 0 failed, 1 skipped");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_plot_is_drawn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
