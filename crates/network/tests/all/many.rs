//! Many networks at once: what serializes would show here. The figures are printed; only gross waits fail.

use std::time::{Duration, Instant};

use crate::world::*;
use ferrovirt_hook::Origin;
use futures_util::future::join_all;

const MANY: u8 = 40;

#[test]
fn r90_forty_networks_start_at_once() {
    private("many::r90_forty_networks_start_at_once", || async {
        let world = World::new();
        world.hook("[ $2 != start ] || sleep 1");
        let networks = world.daemon();
        networks.load().await.unwrap();
        let mut handles = Vec::new();
        for number in 1..=MANY {
            handles.push(
                networks
                    .define(nat(&format!("n{number}"), number), Origin::client())
                    .await
                    .unwrap(),
            );
        }
        let since = Instant::now();
        let starts = join_all(handles.iter().map(|network| network.start(Origin::client())));
        let mut slowest = Duration::ZERO;
        let reads = async {
            loop {
                let before = Instant::now();
                assert_eq!(networks.list().len(), usize::from(MANY));
                slowest = slowest.max(before.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            results = starts => for result in results { result.unwrap(); },
            () = reads => unreachable!("reads go on"),
        }
        let started = since.elapsed();
        println!("{MANY} networks with a 1 s hook each: {started:?}; the slowest list: {slowest:?}");
        assert!(started < Duration::from_secs(10));
        let since = Instant::now();
        for result in join_all(handles.iter().map(|network| network.destroy(Origin::client()))).await {
            result.unwrap();
        }
        println!("and down: {:?}", since.elapsed());
        assert_eq!(leftovers(world.path()), "");

        world.hook("");
        let one = &handles[0];
        let since = Instant::now();
        for _ in 0..10 {
            one.start(Origin::client()).await.unwrap();
            one.destroy(Origin::client()).await.unwrap();
        }
        println!("one network up and down: {:?}", since.elapsed() / 10);
    });
}
