//! Thumbnails.

use std::io::Cursor;

use freehold_media::{
    Animation, MediaId, MediaSettings, Method, PictureLimits, ThumbnailError, ThumbnailSize, Wanted,
};
use freehold_store::Actor;
use futures_util::TryStreamExt;
use image::codecs::gif::GifEncoder;
use image::{AnimationDecoder, Frame, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

use crate::world::{World, person};

pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    encoded(width, height, ImageFormat::Png)
}

fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let low_byte = |n: u32| u8::try_from(n % 256).unwrap();
    let picture = RgbImage::from_fn(width, height, |x, y| Rgb([low_byte(x), low_byte(y), 7]));
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn gif(width: u32, height: u32, frames: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for n in 0..frames {
        let picture = RgbaImage::from_pixel(width, height, Rgba([n * 40, 0, 0, 255]));
        encoder.encode_frame(Frame::new(picture)).unwrap();
    }
    drop(encoder);
    bytes
}

async fn thumbnail(
    world: &World,
    actor: &Actor,
    media_id: &MediaId,
    size: (u32, u32, Method, Animation),
) -> Result<(&'static str, Vec<u8>), ThumbnailError> {
    let server_name = actor.tenant.server_name();
    let wanted = Wanted { tenant: &actor.tenant, server_name, media_id, wait_ms: 0 };
    let (width, height, method, animation) = size;
    let thumbnail = world.media.thumbnail(wanted, ThumbnailSize { width, height, method }, animation).await?;
    let pieces: Vec<bytes::Bytes> = thumbnail.chunks.try_collect().await.unwrap();
    let bytes = pieces.concat();
    assert_eq!(bytes.len() as u64, thumbnail.bytes);
    Ok((thumbnail.content_type, bytes))
}

fn dimensions(bytes: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory(bytes).unwrap();
    (picture.width(), picture.height())
}

#[tokio::test]
async fn thumbnails_cover_what_is_asked_in_every_format_that_is_read() {
    use Animation::Still;
    use Method::{Crop, Scale};
    let world = World::new().await;
    let alice = person("@alice:one.example");
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
        let media_id = world.upload(&alice, &encoded(1000, 500, format)).await;
        let cases = [
            ((20, 20, Crop, Still), (32, 32)),
            ((200, 100, Crop, Still), (320, 160)),
            ((100, 100, Scale, Still), (480, 240)),
            ((640, 480, Scale, Still), (960, 480)),
        ];
        for (asked, expected) in cases {
            let (content_type, bytes) = thumbnail(&world, &alice, &media_id, asked).await.unwrap();
            assert_eq!((content_type, dimensions(&bytes)), ("image/jpeg", expected), "{format:?} {asked:?}");
            let again = thumbnail(&world, &alice, &media_id, asked).await.unwrap();
            assert_eq!(again, (content_type, bytes), "what is kept is what was made");
        }
    }
}

#[tokio::test]
async fn what_is_smaller_than_asked_is_given_as_it_is() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let picture = png(50, 40);
    let media_id = world.upload(&alice, &picture).await;
    for size in [(96, 96, Method::Crop, Animation::Still), (9999, 9999, Method::Scale, Animation::Moving)] {
        for _ in 0..2 {
            let found = thumbnail(&world, &alice, &media_id, size).await.unwrap();
            assert_eq!(found, ("image/png", picture.clone()));
        }
    }
}

#[tokio::test]
async fn transparent_pictures_stay_transparent() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let mut bytes = Vec::new();
    let picture = RgbaImage::from_pixel(200, 200, Rgba([1, 2, 3, 100]));
    picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::WebP).unwrap();
    let media_id = world.upload(&alice, &bytes).await;
    let size = (96, 96, Method::Crop, Animation::Still);
    let (content_type, bytes) = thumbnail(&world, &alice, &media_id, size).await.unwrap();
    assert_eq!((content_type, dimensions(&bytes)), ("image/png", (96, 96)));
    assert_eq!(image::load_from_memory(&bytes).unwrap().to_rgba8().get_pixel(50, 50).0[3], 100);
}

#[tokio::test]
async fn pictures_move_only_when_that_is_asked() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let picture = gif(200, 200, 3);
    let media_id = world.upload(&alice, &picture).await;
    let frames = |bytes: &[u8]| {
        let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(bytes)).unwrap();
        decoder.into_frames().count()
    };
    let moving = (96, 96, Method::Crop, Animation::Moving);
    let (content_type, bytes) = thumbnail(&world, &alice, &media_id, moving).await.unwrap();
    assert_eq!((content_type, dimensions(&bytes), frames(&bytes)), ("image/gif", (96, 96), 3));
    for size in [96, 500] {
        let still = (size, size, Method::Crop, Animation::Still);
        let (content_type, bytes) = thumbnail(&world, &alice, &media_id, still).await.unwrap();
        assert_eq!((content_type, dimensions(&bytes)), ("image/jpeg", (size.min(200), size.min(200))));
    }
    let large = (500, 500, Method::Scale, Animation::Moving);
    assert_eq!(thumbnail(&world, &alice, &media_id, large).await.unwrap(), ("image/gif", picture));
}

#[tokio::test]
async fn too_many_frames_stand_still() {
    let pictures = PictureLimits { moving_pixels: 5 * 200 * 200, ..PictureLimits::default() };
    let world = World::with(MediaSettings { pictures, ..MediaSettings::default() }).await;
    let alice = person("@alice:one.example");
    let media_id = world.upload(&alice, &gif(200, 200, 6)).await;
    let moving = (96, 96, Method::Crop, Animation::Moving);
    assert_eq!(thumbnail(&world, &alice, &media_id, moving).await.unwrap().0, "image/jpeg");
}

/// A small file that claims to be a huge picture is refused before anything is allocated for it.
#[tokio::test]
async fn pictures_that_are_too_large_are_refused() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let size = (32, 32, Method::Crop, Animation::Still);
    for (width, height) in [(29_999_u32, 29_999_u32), (1_000_000, 1), (u32::MAX / 2, u32::MAX / 2)] {
        let mut bomb = png(1, 1);
        bomb[16..20].copy_from_slice(&width.to_be_bytes());
        bomb[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
        let media_id = world.upload(&alice, &bomb).await;
        let error = thumbnail(&world, &alice, &media_id, size).await.unwrap_err();
        assert!(matches!(error, ThumbnailError::TooLarge), "{width}x{height}: {error}");
    }
    let small = MediaSettings {
        pictures: PictureLimits { file_bytes: 10, ..PictureLimits::default() },
        ..MediaSettings::default()
    };
    let world = World::with(small).await;
    let media_id = world.upload(&alice, &png(1, 1)).await;
    let error = thumbnail(&world, &alice, &media_id, size).await.unwrap_err();
    assert!(matches!(error, ThumbnailError::TooLarge));
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[tokio::test]
async fn what_is_no_picture_has_no_thumbnail() {
    let world = World::new().await;
    let alice = person("@alice:one.example");
    let size = (32, 32, Method::Crop, Animation::Moving);
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec();
    let cut_off = png(100, 100)[..60].to_vec();
    let cut_gif = gif(100, 100, 2)[..40].to_vec();
    for bytes in [b"".to_vec(), b"text".to_vec(), svg, cut_off, cut_gif, b"GIF89a".to_vec()] {
        let media_id = world.upload(&alice, &bytes).await;
        let error = thumbnail(&world, &alice, &media_id, size).await.unwrap_err();
        assert!(matches!(error, ThumbnailError::NoPicture), "{error}");
    }
    let media_id = world.upload(&alice, &png(1, 1)).await;
    let nothing = (0, 32, Method::Crop, Animation::Still);
    assert!(matches!(thumbnail(&world, &alice, &media_id, nothing).await, Err(ThumbnailError::NoSize)));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

    /// Whatever is in a file, there is a thumbnail or an error.
    #[test]
    fn damaged_pictures_do_no_harm(at in 0_usize..4000, byte: u8, moving: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let alice = person("@alice:one.example");
            for mut bytes in [gif(60, 60, 3), png(60, 60), encoded(60, 60, ImageFormat::Jpeg), encoded(60, 60, ImageFormat::WebP)] {
                let at = at % bytes.len();
                bytes[at] = byte;
                let media_id = world.upload(&alice, &bytes).await;
                let animation = if moving { Animation::Moving } else { Animation::Still };
                let size = (32, 32, Method::Crop, animation);
                if let Ok((content_type, bytes)) = thumbnail(&world, &alice, &media_id, size).await {
                    assert!(content_type.starts_with("image/") && !bytes.is_empty());
                }
            }
        });
    }
}
