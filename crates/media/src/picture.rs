//! Making pictures smaller, within limits: a small file can be a picture of any size.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{
    AnimationDecoder, DynamicImage, Frame, Frames, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits,
};

use crate::size::{Animation, Method, ThumbnailSize};

/// What working on a picture may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureLimits {
    /// Most bytes of the file.
    pub file_bytes: u64,
    /// Most pixels: those of cameras in telephones have up to 50 million.
    pub pixels: u64,
    /// Longest side in pixels.
    pub side: u32,
    /// Most bytes that a decoder may allocate.
    pub memory_bytes: u64,
    /// Most pixels of all frames of a moving picture together; with more it stands still.
    pub moving_pixels: u64,
}

impl Default for PictureLimits {
    fn default() -> Self {
        PictureLimits {
            file_bytes: 32 * 1024 * 1024,
            pixels: 50_000_000,
            side: 30_000,
            memory_bytes: 256 * 1024 * 1024,
            moving_pixels: 50_000_000,
        }
    }
}

/// What became of a picture.
#[derive(Debug)]
pub(crate) enum Made {
    /// Another picture, of this type.
    New(&'static str, Bytes),
    /// It is small enough, and may be given as it is: of this type.
    Itself(&'static str),
}

/// Why a picture cannot be made smaller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PictureError {
    #[error("file is no picture that can be made smaller")]
    NoPicture,
    #[error("picture is too large to be made smaller")]
    TooLarge,
}

/// Only formats that every browser shows. Others have had holes, and are opened by nobody here.
fn content_type(format: ImageFormat) -> Option<&'static str> {
    match format {
        ImageFormat::Jpeg => Some("image/jpeg"),
        ImageFormat::Png => Some("image/png"),
        ImageFormat::Gif => Some("image/gif"),
        ImageFormat::WebP => Some("image/webp"),
        _ => None,
    }
}

/// The type of a picture, by its content, if browsers may show it.
pub(crate) fn harmless_type(file: &[u8]) -> Option<&'static str> {
    image::guess_format(file).ok().and_then(content_type)
}

/// Makes a thumbnail. Takes a while: not for a thread on which others wait.
pub(crate) fn thumbnail(
    file: &[u8],
    size: ThumbnailSize,
    animation: Animation,
    limits: &PictureLimits,
) -> Result<Made, PictureError> {
    let format = image::guess_format(file).map_err(|_| PictureError::NoPicture)?;
    let kind = content_type(format).ok_or(PictureError::NoPicture)?;
    let moves = moves(file, format);
    if animation == Animation::Moving && moves {
        return moving(file, format, size, limits);
    }
    let (picture, turned) = decode(file, format, limits)?;
    match size.for_picture((picture.width(), picture.height())) {
        Some(smaller) => still(&resized(&picture, smaller, size.method)),
        None if moves || turned => still(&picture),
        None => Ok(Made::Itself(kind)),
    }
}

/// The picture the right way up, and whether it was turned for that.
fn decode(
    file: &[u8],
    format: ImageFormat,
    limits: &PictureLimits,
) -> Result<(DynamicImage, bool), PictureError> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(decoder_limits(limits));
    let mut decoder = reader.into_decoder().map_err(|error| refused(&error))?;
    check_dimensions(decoder.dimensions(), limits)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| refused(&error))?;
    picture.apply_orientation(orientation);
    Ok((picture, orientation != Orientation::NoTransforms))
}

fn decoder_limits(limits: &PictureLimits) -> Limits {
    let mut bounds = Limits::no_limits();
    bounds.max_image_width = Some(limits.side);
    bounds.max_image_height = Some(limits.side);
    bounds.max_alloc = Some(limits.memory_bytes);
    bounds
}

fn check_dimensions((width, height): (u32, u32), limits: &PictureLimits) -> Result<(), PictureError> {
    let pixels = u64::from(width) * u64::from(height);
    if width > limits.side || height > limits.side || pixels > limits.pixels {
        return Err(PictureError::TooLarge);
    }
    Ok(())
}

fn refused(error: &ImageError) -> PictureError {
    match error {
        ImageError::Limits(_) => PictureError::TooLarge,
        _ => PictureError::NoPicture,
    }
}

fn resized(picture: &DynamicImage, (width, height): (u32, u32), method: Method) -> DynamicImage {
    match method {
        Method::Crop => picture.resize_to_fill(width, height, FilterType::Triangle),
        Method::Scale => picture.resize_exact(width, height, FilterType::Triangle),
    }
}

/// JPEG is smaller, but knows no transparency.
fn still(picture: &DynamicImage) -> Result<Made, PictureError> {
    let mut bytes = Vec::new();
    let opaque =
        !picture.color().has_alpha() || picture.to_rgba8().pixels().all(|pixel| pixel.0[3] == u8::MAX);
    if opaque {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, 80);
        picture.to_rgb8().write_with_encoder(encoder).map_err(|error| refused(&error))?;
        return Ok(Made::New("image/jpeg", bytes.into()));
    }
    let picture = DynamicImage::ImageRgba8(picture.to_rgba8());
    picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).map_err(|error| refused(&error))?;
    Ok(Made::New("image/png", bytes.into()))
}

/// Whether a file is a moving picture.
fn moves(file: &[u8], format: ImageFormat) -> bool {
    let moves = match format {
        ImageFormat::Png => PngDecoder::new(Cursor::new(file)).and_then(|decoder| decoder.is_apng()).ok(),
        ImageFormat::WebP => WebPDecoder::new(Cursor::new(file)).map(|decoder| decoder.has_animation()).ok(),
        ImageFormat::Gif => Some(gif_frames(file) > 1),
        _ => None,
    };
    moves.unwrap_or(false)
}

/// How many frames a GIF has, up to two, without decoding them: they begin with an image descriptor after their graphic control
/// extension, and follow each other in blocks that say how long they are.
fn gif_frames(file: &[u8]) -> usize {
    GifBlocks::after_header(file).map_or(0, |blocks| blocks.filter(|block| *block == b',').take(2).count())
}

/// The blocks of a GIF by their first bytes (<https://www.w3.org/Graphics/GIF/spec-gif89a.txt>).
struct GifBlocks<'f> {
    rest: &'f [u8],
}

impl<'f> GifBlocks<'f> {
    fn after_header(file: &'f [u8]) -> Option<Self> {
        let flags = *file.get(10)?;
        Some(GifBlocks { rest: file.get(13 + color_table_bytes(flags)..)? })
    }

    fn skip_sub_blocks(&mut self) -> Option<()> {
        loop {
            let (length, rest) = self.rest.split_first()?;
            self.rest = rest.get(usize::from(*length)..)?;
            if *length == 0 {
                return Some(());
            }
        }
    }
}

impl Iterator for GifBlocks<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (kind, rest) = self.rest.split_first()?;
        match kind {
            b'!' => self.rest = rest.get(1..)?,
            b',' => {
                let flags = *rest.get(8)?;
                // After the descriptor and the colours comes the size of LZW codes.
                self.rest = rest.get(9 + color_table_bytes(flags) + 1..)?;
            }
            _ => return None,
        }
        // The last frame may be cut off; it is one all the same.
        if self.skip_sub_blocks().is_none() {
            self.rest = &[];
        }
        Some(*kind)
    }
}

fn color_table_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// A moving thumbnail, as a GIF, which all clients show.
fn moving(
    file: &[u8],
    format: ImageFormat,
    size: ThumbnailSize,
    limits: &PictureLimits,
) -> Result<Made, PictureError> {
    let (dimensions, frames) = frames(file, format, limits)?;
    check_dimensions(dimensions, limits)?;
    let (kind, smaller) = (content_type(format).unwrap_or_default(), size.for_picture(dimensions));
    let Some(smaller) = smaller else { return Ok(Made::Itself(kind)) };
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
    encoder.set_repeat(Repeat::Infinite).map_err(|error| refused(&error))?;
    let mut pixels = 0;
    for frame in frames {
        let frame = frame.map_err(|error| refused(&error))?;
        pixels += u64::from(dimensions.0) * u64::from(dimensions.1);
        if pixels > limits.moving_pixels {
            return thumbnail(file, size, Animation::Still, limits);
        }
        let delay = frame.delay();
        let picture = resized(&DynamicImage::ImageRgba8(frame.into_buffer()), smaller, size.method);
        let frame = Frame::from_parts(picture.to_rgba8(), 0, 0, delay);
        encoder.encode_frame(frame).map_err(|error| refused(&error))?;
    }
    drop(encoder);
    Ok(Made::New("image/gif", bytes.into()))
}

/// The frames of a moving picture, and its size.
fn frames<'f>(
    file: &'f [u8],
    format: ImageFormat,
    limits: &PictureLimits,
) -> Result<((u32, u32), Frames<'f>), PictureError> {
    let bounded = |mut decoder: Box<dyn Moving<'f> + 'f>| {
        let dimensions = decoder.bounded(decoder_limits(limits)).map_err(|error| refused(&error))?;
        check_dimensions(dimensions, limits)?;
        Ok((dimensions, decoder.all_frames().map_err(|error| refused(&error))?))
    };
    let cursor = Cursor::new(file);
    match format {
        ImageFormat::Gif => bounded(Box::new(GifDecoder::new(cursor).map_err(|error| refused(&error))?)),
        ImageFormat::WebP => bounded(Box::new(WebPDecoder::new(cursor).map_err(|error| refused(&error))?)),
        ImageFormat::Png => bounded(Box::new(PngDecoder::new(cursor).map_err(|error| refused(&error))?)),
        _ => Err(PictureError::NoPicture),
    }
}

/// Decoders of moving pictures.
trait Moving<'f> {
    /// Sets limits; the answer is the size of the picture.
    fn bounded(&mut self, limits: Limits) -> Result<(u32, u32), ImageError>;
    /// Its frames.
    fn all_frames(self: Box<Self>) -> Result<Frames<'f>, ImageError>;
}

impl<'f> Moving<'f> for GifDecoder<Cursor<&'f [u8]>> {
    fn bounded(&mut self, limits: Limits) -> Result<(u32, u32), ImageError> {
        self.set_limits(limits)?;
        Ok(self.dimensions())
    }

    fn all_frames(self: Box<Self>) -> Result<Frames<'f>, ImageError> {
        Ok(self.into_frames())
    }
}

impl<'f> Moving<'f> for WebPDecoder<Cursor<&'f [u8]>> {
    fn bounded(&mut self, limits: Limits) -> Result<(u32, u32), ImageError> {
        self.set_limits(limits)?;
        Ok(self.dimensions())
    }

    fn all_frames(self: Box<Self>) -> Result<Frames<'f>, ImageError> {
        Ok(self.into_frames())
    }
}

impl<'f> Moving<'f> for PngDecoder<Cursor<&'f [u8]>> {
    fn bounded(&mut self, limits: Limits) -> Result<(u32, u32), ImageError> {
        self.set_limits(limits)?;
        Ok(self.dimensions())
    }

    fn all_frames(self: Box<Self>) -> Result<Frames<'f>, ImageError> {
        Ok(self.apng()?.into_frames())
    }
}
