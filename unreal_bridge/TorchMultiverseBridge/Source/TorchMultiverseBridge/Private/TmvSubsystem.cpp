#include "TmvSubsystem.h"

#include "Async/Async.h"
#include "Engine/GameInstance.h"
#include "Engine/World.h"
#include "GameFramework/PlayerController.h"
#include "HAL/PlatformTime.h"

#include <utility>

#include "TmvCatalogue.h"
#include "TmvLog.h"
#include "TmvSettings.h"
#include "TmvText.h"

namespace
{
	// Pixel Streaming answers every player at once, so to the core they are one.
	const std::string Players = "all";

	tmv::Value Number(double Value)
	{
		return tmv::Value::number(Value);
	}
}

void UTmvSubsystem::Initialize(FSubsystemCollectionBase& Collection)
{
	Super::Initialize(Collection);
	Link = MakeTmvLink();
	if (!Link)
	{
		UE_LOG(LogTmvBridge, Warning, TEXT("this build has no Pixel Streaming: nobody can ask the bridge"));
		return;
	}
	Link->OnText = [this](const FString& Text)
	{
		if (Bridge)
		{
			Bridge->receive(Players, TmvText::ToUtf8(Text));
		}
	};
	Link->OnAllLeft = [this]()
	{
		if (Bridge)
		{
			Bridge->left(Players);
		}
	};
	TmvEncode::Prepare();
	Ticker = FTSTicker::GetCoreTicker().AddTicker(FTickerDelegate::CreateUObject(this, &UTmvSubsystem::Tick));
}

void UTmvSubsystem::Deinitialize()
{
	FTSTicker::GetCoreTicker().RemoveTicker(Ticker);
	if (Encoded.IsValid())
	{
		Encoded.Wait();
	}
	Link.Reset();
	Bridge.reset();
	Super::Deinitialize();
}

bool UTmvSubsystem::EnterWorld()
{
	UWorld* Played = GetGameInstance()->GetWorld();
	if (Played == nullptr || !Played->HasBegunPlay() || Played->GetFirstPlayerController() == nullptr)
	{
		return false;
	}
	if (Played == World.Get() && Rig.IsValid())
	{
		return true;
	}
	const UTmvSettings& Settings = *GetDefault<UTmvSettings>();
	if (!Bridge)
	{
		Stage.Load(Settings);
		std::string Error;
		Bridge = tmv::Bridge::create(TmvCatalogue::Config(Settings, Stage), Error);
		if (!Bridge)
		{
			UE_LOG(LogTmvBridge, Error, TEXT("the bridge does not start: %s"), *TmvText::FromUtf8(Error));
			Link.Reset();
			return false;
		}
	}
	ATmvRig* NewRig = Played->SpawnActor<ATmvRig>();
	FString Error;
	if (NewRig == nullptr || !Link->Attach(*NewRig, Error))
	{
		UE_LOG(LogTmvBridge, Error, TEXT("the bridge cannot be asked: %s"), *Error);
		Link.Reset();
		return false;
	}
	// What was on its way belonged to the level that is gone.
	Bridge->world_lost();
	if (Applying != 0)
	{
		std::string Refused;
		Report(Bridge->refused(Applying, "another level was opened", true, Refused), Refused);
	}
	Applying = Capturing = 0;
	Shot = EShot::None;
	bSettling = false;
	World = Played;
	Rig = NewRig;
	Stage.Enter(*Played, *NewRig);
	UE_LOG(LogTmvBridge, Display, TEXT("the bridge is ready: %s"), *TmvText::FromUtf8(Bridge->catalogue().fingerprint()));
	return true;
}

bool UTmvSubsystem::Tick(float)
{
	if (!Link || !EnterWorld())
	{
		return Link.IsValid();
	}
	const double Now = FPlatformTime::Seconds();
	std::string Error;
	switch (Applying != 0 ? Stage.Tick(Now) : FTmvStage::EState::Idle)
	{
	case FTmvStage::EState::Applied:
		bSettling = true;
		Report(Bridge->applied(std::exchange(Applying, 0), Stage.Shown(), Error), Error);
		break;
	case FTmvStage::EState::Refused:
		Report(Bridge->refused(std::exchange(Applying, 0), TmvText::ToUtf8(Stage.Refusal().Reason), Stage.Refusal().bAgain, Error), Error);
		break;
	default:
		// The core counts the frames of a scene that settles, and looks how long all else takes.
		if (bSettling)
		{
			Rig->Warm();
		}
		Bridge->frame(bSettling ? Stage.Facts.Look(*World) : tmv::Facts(), Now * 1000.);
	}
	Advance();
	Obey();
	return true;
}

void UTmvSubsystem::Obey()
{
	tmv::Command Command;
	while (Bridge->next(Command))
	{
		switch (Command.kind)
		{
		case tmv::Command::Kind::Respond:
			Link->Respond(TmvText::FromUtf8(Command.text));
			break;
		case tmv::Command::Kind::SendFile:
			Link->SendFile(TArray64<uint8>(reinterpret_cast<const uint8*>(Command.bytes.data()), static_cast<int64>(Command.bytes.size())),
				TmvText::FromUtf8(Command.mime), TmvText::FromUtf8(Command.extension));
			break;
		case tmv::Command::Kind::Apply:
			// The core has given up whatever was captured before.
			Applying = Command.request;
			Capturing = 0;
			Shot = EShot::None;
			bSettling = false;
			Stage.Begin(Command);
			break;
		case tmv::Command::Kind::Capture:
			BeginCapture(Command);
			break;
		case tmv::Command::Kind::Note:
			UE_LOG(LogTmvBridge, Display, TEXT("%s"), *TmvText::FromUtf8(Command.text));
			break;
		}
	}
}

void UTmvSubsystem::BeginCapture(const tmv::Command& Command)
{
	Capturing = Command.request;
	bSettling = false;
	Current = FTmvShot();
	Current.Passes = Command.passes;
	Current.bJpeg = Command.format == "jpeg";
	Current.SkyFrom = Stage.Worlds.Row().SkyFrom;
	const TArray<uint16>& Classes = Stage.Characters.Classes();
	Current.Classes.assign(Classes.GetData(), Classes.GetData() + Classes.Num());
	Current.MostCharacters = Classes.Num();
	// Samples are frames of the temporal history, of which the settled ones are there already.
	const int32 Quiet = GetDefault<UTmvSettings>()->QuietFrames;
	WarmFrames = FMath::Max(0, Command.samples - Quiet);
	if (Stage.HasWeather())
	{
		Stage.Surroundings.Reseed(Command.picture_seed);
	}
	if (Stage.HasWeather() || Stage.BlurWay() > 0.)
	{
		Rig->Cut();
		WarmFrames = FMath::Max(Command.samples, Quiet);
	}
	Shot = EShot::Warming;
	ShotAt = FPlatformTime::Seconds();
}

void UTmvSubsystem::Advance()
{
	switch (Shot)
	{
	case EShot::None:
		break;
	case EShot::Warming:
		if (WarmFrames-- > 0)
		{
			Rig->Warm();
		}
		else if (Stage.BlurWay() > 0.)
		{
			// Velocities are what moved between two frames: one where the shutter opens, the next where it closes.
			Stage.Characters.Shift(-Stage.BlurWay());
			Rig->Warm();
			Shot = EShot::Shifted;
		}
		else
		{
			Shot = EShot::Shooting;
			Advance();
		}
		break;
	case EShot::Shifted:
		Stage.Characters.Shift(0.);
		Shot = EShot::Shooting;
		Advance();
		break;
	case EShot::Shooting:
		Rig->Shoot(Current);
		Shot = EShot::Reading;
		break;
	case EShot::Reading:
	{
		bool bAll = true;
		for (const TSharedPtr<FTmvReadback, ESPMode::ThreadSafe>* Readback : {&Current.Rgb, &Current.Mask, &Current.Depth, &Current.Normals})
		{
			bAll = (!Readback->IsValid() || (*Readback)->Poll()) && bAll;
		}
		if (bAll)
		{
			ReadAt = FPlatformTime::Seconds();
			Encoded = Async(EAsyncExecution::ThreadPool, [Taken = Current]() { return TmvEncode::Encode(Taken); });
			Shot = EShot::Encoding;
		}
		break;
	}
	case EShot::Encoding:
		if (Encoded.IsReady())
		{
			Shot = EShot::None;
			Deliver(Encoded.Get());
			Encoded.Reset();
		}
		break;
	}
}

void UTmvSubsystem::Deliver(const FTmvFiles& Files)
{
	const tmv::RequestNumber Request = Capturing;
	Capturing = 0;
	std::string Error;
	if (!Files.Error.IsEmpty())
	{
		Report(Bridge->refused(Request, TmvText::ToUtf8(Files.Error), false, Error), Error);
		return;
	}
	for (const FTmvFile& File : Files.Files)
	{
		Report(Bridge->captured(Request, File.Pass, File.Bytes, File.Extension, Error), Error);
	}
	Report(Bridge->captured_all(Request, CaptureFacts(), Error), Error);
}

void UTmvSubsystem::Report(bool bTaken, const std::string& Error) const
{
	if (!bTaken)
	{
		UE_LOG(LogTmvBridge, Error, TEXT("the core did not take it: %s"), *TmvText::FromUtf8(Error));
	}
}

std::string UTmvSubsystem::CaptureFacts() const
{
	const double Now = FPlatformTime::Seconds();
	tmv::Value Timings = tmv::Value::object();
	Timings.set("capture_ms", Number((ReadAt - ShotAt) * 1000.));
	Timings.set("encode_ms", Number((Now - ReadAt) * 1000.));

	const tmv_ue::View View = tmv_ue::view_of(Rig->Camera(), Current.Width);
	tmv::Value K = tmv::Value::array(), Rt = tmv::Value::array();
	const double Intrinsic[3][3] = {
		{View.focal, 0., Current.Width / 2.}, {0., View.focal, Current.Height / 2.}, {0., 0., 1.}};
	for (int32 Row = 0; Row < 3; ++Row)
	{
		tmv::Value Line = tmv::Value::array(), Outer = tmv::Value::array();
		for (int32 Column = 0; Column < 3; ++Column)
		{
			Line.items().push_back(Number(Intrinsic[Row][Column]));
		}
		for (int32 Column = 0; Column < 4; ++Column)
		{
			Outer.items().push_back(Number(View.rt[Row][Column]));
		}
		K.items().push_back(Line);
		Rt.items().push_back(Outer);
	}
	tmv::Value Camera = tmv::Value::object();
	Camera.set("convention", tmv::Value::string(
		"world: metres, right-handed, z up; camera: x right, y down, z forward; pixel = K [R|t] world, pixel centres at halves"));
	Camera.set("K", K);
	Camera.set("Rt", Rt);
	tmv::Value Info = tmv::Value::object();
	Info.set("camera", Camera);
	tmv::Value Facts = tmv::Value::object();
	Facts.set("timings", Timings);
	Facts.set("info", Info);
	std::string Text;
	tmv::json::canonical(Facts, Text);
	return Text;
}
