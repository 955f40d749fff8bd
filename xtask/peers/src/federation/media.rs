//! Files of one server, as people of the other have them.

use std::{io::Cursor, thread, time::Duration};

use image::{ImageFormat, Rgb, RgbImage};

use super::{Pair, steps::Steps};
use crate::{
    failure::{Context, Failure, Result},
    http::Downloaded,
    user::User,
};

/// Who has files, and who wants them.
struct People {
    owner: User,
    viewer: User,
}

type Step = fn(&Pair<'_>, &People) -> Result<()>;

pub(super) fn run(pair: &Pair<'_>, steps: &mut Steps) {
    let suffix = pair.suffix();
    let registered = steps.run(&format!("{}: people with files register", pair.direction), || {
        let owner = User::register(pair.client, pair.first, &format!("owner{suffix}"))?;
        let viewer = User::register(pair.client, pair.second, &format!("viewer{suffix}"))?;
        Ok(People { owner, viewer })
    });
    let Some(people) = registered else { return };
    let all: [(&str, Step); 4] = [
        ("files of any size uploaded there are downloaded here", downloaded),
        ("a picture uploaded there has a thumbnail here", thumbnailed),
        ("a file that is uploaded while somebody waits for it arrives", waited_for),
        ("a file that is not there is not found", not_found),
    ];
    for (name, step) in all {
        steps.run(&format!("{}: {name}", pair.direction), || step(pair, &people));
    }
}

fn downloaded(_: &Pair<'_>, People { owner, viewer }: &People) -> Result<()> {
    // What looks like the end of a part must not end it.
    let text = b"\r\n--\r\n--boundary--\r\n\r\n".to_vec();
    let mixed = (0..5_000_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes());
    let large: Vec<u8> = mixed.map(|[first, ..]| first).collect();
    for bytes in [text, large, Vec::from("x")] {
        let uri = owner.upload("text/plain", &bytes)?;
        // The second time it is kept.
        for _ in 0..2 {
            let found = expect(viewer.download(&uri, "")?, 200)?;
            if found.bytes != bytes || !found.content_type.starts_with("text/plain") {
                let (length, content_type) = (found.bytes.len(), found.content_type);
                let sent = bytes.len();
                return Err(Failure::new(format!("of {sent} bytes came {length} of type {content_type}")));
            }
        }
    }
    Ok(())
}

fn thumbnailed(_: &Pair<'_>, People { owner, viewer }: &People) -> Result<()> {
    let pixels = RgbImage::from_fn(400, 300, |x, y| Rgb([(x % 251) as u8, (y % 241) as u8, 9]));
    let mut picture = Vec::new();
    pixels.write_to(&mut Cursor::new(&mut picture), ImageFormat::Png).context("a picture")?;
    let uri = owner.upload("image/png", &picture)?;
    for (query, expected) in
        [("?width=96&height=96&method=crop", (96, 96)), ("?width=320&height=240&method=scale", (320, 240))]
    {
        let found = expect(viewer.thumbnail(&uri, query)?, 200)?;
        let small = image::load_from_memory(&found.bytes).context("a thumbnail")?;
        if (small.width(), small.height()) != expected || !found.content_type.starts_with("image/") {
            let (width, height, kind) = (small.width(), small.height(), found.content_type);
            return Err(Failure::new(format!("{query} is answered with {width} × {height}, {kind}")));
        }
    }
    Ok(())
}

fn waited_for(pair: &Pair<'_>, People { owner, viewer }: &People) -> Result<()> {
    let uri = owner.reserve()?;
    // Synapse takes a server that says so for one that is not well, and leaves it in peace for a while.
    if pair.second_is_ours() {
        let early = expect(viewer.download(&uri, "?timeout_ms=100")?, 504)?;
        if !String::from_utf8_lossy(&early.bytes).contains("M_NOT_YET_UPLOADED") {
            return Err(Failure::new(format!("it is not said to be still to come: {early:?}")));
        }
    }
    thread::scope(|scope| {
        let filling = scope.spawn(|| {
            thread::sleep(Duration::from_secs(1));
            owner.fill(&uri, b"at last")
        });
        let found = viewer.download(&uri, "?timeout_ms=15000");
        filling.join().map_err(|_| Failure::new("the upload was lost"))??;
        let found = expect(found?, 200)?;
        if found.bytes == b"at last" { Ok(()) } else { Err(Failure::new(format!("other bytes: {found:?}"))) }
    })
}

fn not_found(_: &Pair<'_>, People { owner, viewer }: &People) -> Result<()> {
    let server = owner.id().split_once(':').context("the server of a user")?.1;
    let found = expect(viewer.download(&format!("mxc://{server}/nothing"), "")?, 404)?;
    if String::from_utf8_lossy(&found.bytes).contains("M_NOT_FOUND") {
        return Ok(());
    }
    Err(Failure::new(format!("it is not said to be missing: {found:?}")))
}

fn expect(found: Downloaded, status: u16) -> Result<Downloaded> {
    if found.status == status {
        return Ok(found);
    }
    let text = String::from_utf8_lossy(&found.bytes).chars().take(300).collect::<String>();
    Err(Failure::new(format!("the answer is {} and not {status}: {text}", found.status)))
}
